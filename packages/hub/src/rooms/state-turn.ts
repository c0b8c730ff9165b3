import type { Session } from '../sessions/session.ts';
import type { RoomState, RoomStates, StateRun } from './room-states.ts';

/** The states of one join: the run that it waits for, and the place of a state until it is sent. */
export class StateTurn<Data> {
  readonly #states: RoomStates<Data>;
  readonly #session: Session<Data>;
  readonly #room: string;
  #run: StateRun | undefined;
  /** Bytes that the session holds for this join. */
  #bytes: number | undefined;
  /** Of {@link ask}. */
  #asked: RoomState | undefined;
  #isOver = false;

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
   * Waits for a state, and for its place. Call {@link left} when the state is sent.
   *
   * @returns Undefined after {@link cancel}.
   * @throws (rejects) the error of the option `state`.
   */
  async next(): Promise<RoomState | undefined> {
    const asked = this.#asked;
    this.#asked = undefined;
    if (asked !== undefined) return asked;
    this.left();
    const state = await this.#runOnce();
    if (state === undefined) return undefined;
    // An empty state has a place too.
    const bytes = Math.max(1, state.message.bytes.length);
    if (this.#states.hold(this.#session, bytes)) {
      this.#bytes = bytes;
      return state;
    }
    // Its bytes are not kept for a client that has not read the earlier ones.
    this.#bytes = await this.#states.untilFree(this.#session);
    if (!this.#isOver) return this.#runOnce();
    this.left();
    return undefined;
  }

  async #runOnce(): Promise<RoomState | undefined> {
    const run = this.#states.acquire(this.#room);
    this.#run = run;
    try {
      const state = await run.result.promise;
      return this.#isOver ? undefined : state;
    } finally {
      if (this.#run === run) this.#giveUpRun();
    }
  }

  #giveUpRun(): void {
    if (this.#run !== undefined) this.#states.release(this.#run);
    this.#run = undefined;
  }

  /** The state is sent to the session. */
  left(): void {
    if (this.#bytes !== undefined) this.#states.leaves(this.#session, this.#bytes);
    this.#bytes = undefined;
  }

  /** The join has ended. */
  cancel(): void {
    this.#isOver = true;
    this.#giveUpRun();
    this.left();
  }
}
