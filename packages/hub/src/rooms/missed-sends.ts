import type { PreparedMessage } from '@ws/conn';
import { Deferred, sharedFrames } from '@ws/conn/internal';
import type { DeliverySource, FanOut } from '../delivery/fan-out.ts';
import { platformOf } from '../sessions/conn-calls.ts';
import type { Session } from '../sessions/session.ts';

/** Cost of one turn of a resume, calls of `form` included, in units of the delivery of a short message. */
const COST = 1_024;
/** Bound of the bytes that one resume sends in a turn. Each message costs some bytes more. */
const MAX_BYTES = 32_768;
const EXTRA_BYTES = 32;

/** Sends the missed messages of resumes, within the time that a {@link FanOut} has for all deliveries. */
export class MissedSends implements DeliverySource {
  readonly #fanOut: FanOut;
  readonly #waiting = new Set<Deferred<void>>();
  /** Resolves when no resume waits. */
  #done: Deferred<void> | undefined;

  constructor(fanOut: FanOut) {
    this.#fanOut = fanOut;
  }

  /** Resolves when there is time for a resume; undefined if there is time now and no resume waits. */
  turn(): Promise<void> | undefined {
    if (this.#waiting.size === 0 && this.#fanOut.hasTime()) return undefined;
    const turn = new Deferred<void>();
    this.#waiting.add(turn);
    this.#done ??= new Deferred();
    this.#fanOut.add(this);
    return turn.promise;
  }

  /**
   * Sends messages as fast as the client reads.
   *
   * @param isWanted - Called before each message. Sending stops when the result is false.
   */
  async send<Data>(
    session: Session<Data>,
    messages: readonly PreparedMessage[],
    isWanted: () => boolean,
  ): Promise<void> {
    const platform = platformOf(session.conn);
    let cost = 0;
    let turn = this.turn();
    for (const message of messages) {
      cost += message.bytes.length + EXTRA_BYTES;
      if (cost > MAX_BYTES) {
        cost = 0;
        // The connection knows only after the write whether it accepts more.
        sharedFrames(platform).flush();
        await new Promise<void>((resolve) => platform.yield(resolve));
        turn = this.turn();
      }
      if (turn !== undefined) await turn;
      turn = undefined;
      if (session.untilWritable() !== undefined) await this.untilWritable(session);
      if (!isWanted()) return;
      session.deliverKept(message);
    }
  }

  /** Resolves when no message waits for a session and its connection accepts more, or when it has ended. */
  async untilWritable<Data>(session: Session<Data>): Promise<void> {
    let writable = session.untilWritable();
    while (writable !== undefined) {
      await writable;
      writable = session.untilWritable();
    }
  }

  get done(): Promise<void> | undefined {
    return this.#done?.promise;
  }

  run(budget: number): number {
    let rest = budget;
    for (const turn of this.#waiting) {
      if (rest <= 0) return rest;
      this.#waiting.delete(turn);
      turn.resolve();
      rest -= COST;
    }
    this.#done?.resolve();
    this.#done = undefined;
    return rest;
  }
}
