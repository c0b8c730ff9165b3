import { RoomRefusedError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { Session } from '../sessions/session.ts';
import type { MissedPart, SharedPart } from './missed-parts.ts';
import type { PartPlace } from './part-queues.ts';
import type { Rooms } from './rooms.ts';

/** The part of the history that a cursor reads or sends. It has at most one at a time. */
export class HeldPart<Data> {
  readonly #rooms: Rooms<Data>;
  readonly #session: Session<Data>;
  readonly #name: string;
  /** The place among the resumes of the session. */
  #place: PartPlace | undefined;
  #part: SharedPart | undefined;

  constructor(rooms: Rooms<Data>, session: Session<Data>, name: string) {
    this.#rooms = rooms;
    this.#session = session;
    this.#name = name;
  }

  /**
   * Reads a part, which replaces the last one. Call {@link release} when it is sent.
   *
   * @param isReading - Whether the session still lacks messages. It may leave the room meanwhile.
   * @throws (rejects) {@link RoomRefusedError} when the session has left before the read.
   */
  async read(
    since: Position | undefined,
    limit: number,
    isReading: () => boolean,
  ): Promise<MissedPart> {
    const { partQueues, crosses, sends, missed } = this.#rooms;
    this.release(undefined);
    // After the session has left, no later call would release the place.
    if (!isReading()) throw new RoomRefusedError(this.#name, 'left');
    this.#place = partQueues.take(this.#session);
    if (this.#place.begins !== undefined) await this.#place.begins.promise;
    // A read of the history on this node takes time of this process, so it waits for its turn.
    const turn = crosses ? undefined : sends.turn();
    if (turn !== undefined) await turn;
    if (!isReading()) throw new RoomRefusedError(this.#name, 'left');
    const shared = missed.acquire(this.#name, since, limit);
    this.#part = shared;
    return await shared.part;
  }

  /**
   * Releases the place and the part.
   *
   * @param error - The error of a failed read; undefined if no read has failed.
   */
  release(error: unknown): void {
    if (this.#place !== undefined) this.#rooms.partQueues.leave(this.#session, this.#place, error);
    this.#place = undefined;
    if (this.#part !== undefined) this.#rooms.missed.release(this.#part);
    this.#part = undefined;
  }
}
