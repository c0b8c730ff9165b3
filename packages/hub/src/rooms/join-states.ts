import type { Session } from '../sessions/session.ts';
import type { RoomState, RoomStates, StateRun } from './room-states.ts';

/** Gets the states of one join, and reserves bytes of the session until a state is sent. */
export class JoinStates<Data> {
  readonly #states: RoomStates<Data>;
  readonly #session: Session<Data>;
  readonly #room: string;
  /** The call of the option `state` for which this join waits. */
  #run: StateRun | undefined;
  /** Bytes that are reserved for this join. */
  #reserved: number | undefined;
  /** The result of {@link ask}, until {@link next} returns it. */
  #asked: RoomState | undefined;
  #isCancelled = false;

  constructor(states: RoomStates<Data>, session: Session<Data>, room: string) {
    this.#states = states;
    this.#session = session;
    this.#room = room;
  }

  /** Waits for a state. The next call of {@link next} returns it at once. */
  async ask(): Promise<void> {
    this.#asked = await this.next();
  }

  /**
   * Waits for a state, and until its bytes are reserved. Call {@link sent} when the state is sent.
   *
   * @returns Undefined after {@link cancel}.
   * @throws (rejects) the error of the option `state`.
   */
  async next(): Promise<RoomState | undefined> {
    const asked = this.#asked;
    this.#asked = undefined;
    if (asked !== undefined) return asked;
    this.sent();
    const state = await this.#runOnce();
    if (state === undefined) return undefined;
    // Even an empty state counts as waiting.
    const bytes = Math.max(1, state.message.bytes.length);
    const reserved = this.#states.reserve(this.#session, bytes);
    // Too many states wait for this client. If it reads slowly, drops this one, and asks for a new one.
    const kept = reserved && this.#states.keep(state);
    await reserved;
    this.#reserved = bytes;
    const current = kept === undefined ? state : this.#states.takeKept(kept);
    if (!this.#isCancelled) return current ?? this.#runOnce();
    this.sent();
    return undefined;
  }

  async #runOnce(): Promise<RoomState | undefined> {
    const run = this.#states.acquire(this.#room);
    this.#run = run;
    try {
      const state = await run.result.promise;
      return this.#isCancelled ? undefined : state;
    } finally {
      if (this.#run === run) this.#giveUpRun();
    }
  }

  #giveUpRun(): void {
    if (this.#run !== undefined) this.#states.release(this.#run);
    this.#run = undefined;
  }

  /** Called when the state is sent to the session, or will not be sent. */
  sent(): void {
    if (this.#reserved !== undefined) this.#states.giveBack(this.#session, this.#reserved);
    this.#reserved = undefined;
  }

  /** Called when the join has failed. */
  cancel(): void {
    this.#isCancelled = true;
    this.#giveUpRun();
    this.sent();
  }
}
