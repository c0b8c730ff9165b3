import {
  ASK,
  BEYOND,
  COLUMN_NAMES,
  type Followed,
  type Follower,
  type FollowerRules,
  LOSE,
  type LogPart,
  ON,
  STATE_NAMES,
} from '@ws/rpc/internal/following';
import type { Audience, Publication } from '../delivery/audience.ts';
import { RoomRefusedError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { MissedPart, SharedPart } from './missed-parts.ts';
import type { PartPlace } from './part-queues.ts';

/** Bound of the states in a row. The join is refused when the history reaches back to none of them. */
export const MAX_STATES = 3;
/** A position of another history. A read from it begins with the oldest message of the present epoch. */
const BEFORE_ALL: Position = { epoch: 'none', offset: 0 };

/** A message of the history, or a live one. Without `message`, the room has reported a gap for it. */
export type Item<Data> = Followed & {
  readonly [Key in keyof Publication<Data>]?: Publication<Data>[Key] | undefined;
};

/** Reads the log of a room for one member, a part at a time. */
export class MemberLog<Data> {
  readonly #hub: Sessions<Data>;
  readonly #session: Session<Data>;
  readonly #name: string;
  /** The place among the reads of the session. */
  #place: PartPlace | undefined;
  /** The part that is read or sent. */
  #part: SharedPart | undefined;

  constructor(hub: Sessions<Data>, session: Session<Data>, name: string) {
    this.#hub = hub;
    this.#session = session;
    this.#name = name;
  }

  /** Whether the room has a history. */
  get exists(): boolean {
    return this.#hub.settings.room(this.#name).history !== undefined;
  }

  /**
   * Reads a part after the position of a follower. Without a position, reads the last `limit` messages. The
   * part replaces the last one: call {@link release} when it is sent.
   *
   * @param audience - That of the member.
   * @param isDue - Whether the read is still wanted. The session may leave the room meanwhile.
   * @throws (rejects) {@link RoomRefusedError} when the session has left before the read.
   */
  async read(
    { last, isBehind, held }: Follower<Item<Data>>,
    limit: number,
    audience: Audience<Data> | undefined,
    isDue: () => boolean,
  ): Promise<LogPart<Item<Data>>> {
    if (last === undefined) return this.#readLast(limit, held, audience, isDue);
    const part = await this.#readPart(last, Number.MAX_SAFE_INTEGER, isDue);
    const { epoch, offset } = part.position;
    if (epoch !== last.epoch || offset >= last.offset) return logPart(part, held);
    if (this.#hub.rooms.crosses && !isBehind) return { ...logPart(part, held), mayBeLate: true };
    // The position is of another log, so the member gets all of this one.
    const all = await this.#readPart(BEFORE_ALL, Number.MAX_SAFE_INTEGER, isDue);
    return { ...logPart(all, held), isWhole: false };
  }

  /** Without `isWhole`, the history has messages before the last `limit`. */
  async #readLast(
    limit: number,
    held: readonly Item<Data>[],
    audience: Audience<Data> | undefined,
    isDue: () => boolean,
  ): Promise<LogPart<Item<Data>>> {
    if (limit > 0) {
      const part = await this.#readPart(undefined, limit, isDue);
      await this.#untilReturned(audience);
      return logPart(part, held);
    }
    this.release(undefined);
    const { reads } = this.#hub.rooms;
    let position = reads.knownPosition(this.#name);
    if (position === undefined) {
      position = await reads.position(this.#name);
      await this.#untilReturned(audience);
    }
    return { messages: [], position, end: position, isWhole: true };
  }

  /** Waits until members have the messages of this node that the read may have found already. */
  async #untilReturned(audience: Audience<Data> | undefined): Promise<void> {
    await this.#hub.link?.untilReturned(this.#name);
    await audience?.done;
  }

  async #readPart(
    since: Position | undefined,
    limit: number,
    isDue: () => boolean,
  ): Promise<MissedPart> {
    const { partQueues, crosses, sends, missed } = this.#hub.rooms;
    this.release(undefined);
    // After the session has left, no later call would release the place.
    if (!isDue()) throw new RoomRefusedError(this.#name, 'left');
    this.#place = partQueues.take(this.#session);
    if (this.#place.begins !== undefined) await this.#place.begins.promise;
    // A read of the history on this node takes time of this process, so it waits for its turn.
    const turn = crosses ? undefined : sends.turn();
    if (turn !== undefined) await turn;
    if (!isDue()) throw new RoomRefusedError(this.#name, 'left');
    const shared = missed.acquire(this.#name, since, limit);
    this.#part = shared;
    return shared.part;
  }

  /**
   * Releases the place and the part.
   *
   * @param error - The error of a failed read; undefined if no read has failed.
   */
  release(error: unknown): void {
    const { partQueues, missed } = this.#hub.rooms;
    if (this.#place !== undefined) partQueues.leave(this.#session, this.#place, error);
    this.#place = undefined;
    if (this.#part !== undefined) missed.release(this.#part);
    this.#part = undefined;
  }
}

function logPart<Data>(
  { entries, position, hasMore, isWhole }: MissedPart,
  held: readonly Item<Data>[],
): LogPart<Item<Data>> {
  // For a live message that `form` has refused, the room has reported a gap.
  const isReported = ({ position: at }: Followed): boolean =>
    held.some((each) => each.message === undefined && each.position?.offset === at!.offset);
  const messages = entries.filter((each) => !each.isLost || !isReported(each));
  // Only the last part knows the end of the log.
  return { messages, position, end: hasMore ? BEYOND : position, isWhole };
}

/** What differs between members. */
export function rulesOf(asks: boolean, reportsGaps: boolean): FollowerRules {
  // A later state replaces all that was sent before it.
  const answered = reportsGaps ? ON : LOSE;
  return {
    asks,
    passes: true,
    holdsNext: true,
    tries: MAX_STATES,
    loss: asks ? [ASK, ASK, ASK] : [ON, LOSE, answered],
  };
}

/** The error for a fault of the table. */
export function brokenStep([state, column, why]: [number, number, string]): Error {
  return new Error(`follower: ${STATE_NAMES[state]} × ${COLUMN_NAMES[column]}: ${why}`);
}
