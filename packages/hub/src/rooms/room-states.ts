import { type PreparedMessage, TimeoutError } from '@ws/conn';
import { Deferred, isError, markHandled } from '@ws/conn/internal';
import { prepareResult } from '../arguments.ts';
import { Limit } from '../backplane/limit.ts';
import { RoomRefusedError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';

/** Bound of the calls of one function `state` at a time. */
const MAX_CALLS = 32;
/** Longest time of a call, in ms. */
const CALL_MS = 10_000;
/** Longest time in ms that a call counts for {@link MAX_CALLS}. A call may run longer. */
const PLACE_MS = 60_000;
/** Longest state, in bytes. */
const MAX_BYTES = 1_048_576;
/** Bound of the rooms with a stale position. */
const MAX_STALE = 1_000;
/** Bound of the states that wait to be sent to one session, in bytes. A single state may be longer. */
const MAX_WAITING_BYTES = 262_144;
/** Bound of the states that are kept until they may be sent, in bytes, and longest time in ms. */
const MAX_KEPT_BYTES = 67_108_864;
const KEPT_MS = 1_000;

/** The state of a room, as its members get it. */
export interface RoomState {
  readonly message: PreparedMessage;
  /** Members get the messages after this position. Undefined if the engine was away. */
  readonly position: Position | undefined;
}

/** A call of the option `state`, which waits or runs. */
export interface StateRun {
  readonly room: string;
  readonly result: Deferred<RoomState>;
  readonly control: AbortController;
  /** Number of the joins that wait for the result. */
  users: number;
  isRunning: boolean;
}

/** The bytes of {@link MAX_WAITING_BYTES} that the states for one session take. */
interface Reserved {
  bytes: number;
  /** Joins that wait until their bytes are reserved. */
  readonly next: { readonly bytes: number; readonly reserved: Deferred<void> }[];
}

/** A state that waits until it may be sent. */
export interface KeptState {
  /** Undefined when it was dropped. */
  state: RoomState | undefined;
  readonly cancelTimer: () => void;
}

/**
 * Calls the option `state` of rooms, once for many joins. A run first takes the position of the room,
 * then calls the function. So the state has all messages up to the position, and may have later ones.
 */
export class RoomStates<Data> {
  readonly #hub: Sessions<Data>;
  /** The running calls, by the function `state`, so that a function that hangs delays no other. */
  readonly #calls = new Map<unknown, Limit>();
  /** The runs that have not ended, by room. Joins share them. */
  readonly #runs = new Map<string, StateRun>();
  /** By room: resolves when its last run has given back its place in `#calls`. */
  readonly #places = new Map<string, Promise<void>>();
  /** The rooms whose position on this node is too old for their history. */
  readonly #stale = new Set<string>();
  /** The rooms in which a member has got a state without a position. */
  readonly #unsure = new Set<string>();
  /** Whether the return of the engine clears {@link #unsure}. */
  #awaitsEngine = false;
  readonly #reserved = new Map<Session<Data>, Reserved>();
  /** Bytes of all kept states. */
  #keptBytes = 0;

  constructor(hub: Sessions<Data>) {
    this.#hub = hub;
  }

  /** Returns the shared run of a room, or begins one. Call {@link release} once for each call. */
  acquire(room: string): StateRun {
    let run = this.#runs.get(room);
    if (run === undefined) {
      const control = new AbortController();
      run = { room, result: new Deferred(), control, users: 0, isRunning: false };
      void markHandled(run.result.promise);
      this.#runs.set(room, run);
      void this.#run(run);
    }
    run.users++;
    return run;
  }

  release(run: StateRun): void {
    run.users--;
    // A run that has not begun stays, for a later join.
    if (run.users > 0 || !run.isRunning) return;
    this.#unshare(run);
    run.control.abort();
  }

  /** Lets later joins begin another run. */
  #unshare(run: StateRun): void {
    if (this.#runs.get(run.room) === run) this.#runs.delete(run.room);
  }

  /** The history lacks messages after the last state. So the next run reads the position. */
  markStale(room: string): void {
    // The next joins of the forgotten rooms fail once more, and mark them again.
    if (this.#stale.size === MAX_STALE) this.#stale.clear();
    this.#stale.add(room);
  }

  async #run(run: StateRun): Promise<void> {
    const { room } = run;
    const before = this.#places.get(room);
    const place = new Deferred<void>();
    this.#places.set(room, place.promise);
    await before;
    const { state } = this.#hub.settings.room(room);
    const calls = this.#calls.get(state) ?? new Limit(MAX_CALLS);
    this.#calls.set(state, calls);
    await calls.run(() => this.#call(run));
    place.resolve();
    if (this.#places.get(room) === place.promise) this.#places.delete(room);
  }

  /** Resolves when the run no longer needs its place in `#calls`. */
  async #call(run: StateRun): Promise<void> {
    run.isRunning = true;
    if (run.users === 0) return this.#unshare(run);
    try {
      const position = await this.#positionOf(run.room);
      if (run.control.signal.aborted) return;
      await this.#settle(run, position);
    } catch (error) {
      this.#failed(run, error);
    }
  }

  async #settle(run: StateRun, position: Position | undefined): Promise<void> {
    const { room, control, result } = run;
    const { platform } = this.#hub;
    const { signal } = control;
    const state = this.#hub.settings.room(room).state!;
    const late = new TimeoutError(`no state of ${JSON.stringify(room)} within ${CALL_MS} ms`);
    const placeTimeout = new Deferred<void>();
    const cancels = [
      platform.setTimer(PLACE_MS, () => placeTimeout.resolve()),
      platform.setTimer(CALL_MS, () => {
        this.#failed(run, late);
        control.abort(late);
      }),
    ];
    const answered = async (): Promise<void> => {
      const message = prepareResult(await state(room, { position, signal }), 'state');
      const { length } = message.bytes;
      if (length > MAX_BYTES) {
        throw new RangeError(`state: at most ${MAX_BYTES} bytes, got ${length}`);
      }
      run.isRunning = false;
      result.resolve({ message, position });
    };
    const settled = answered().catch((error: unknown) => this.#failed(run, error));
    await Promise.race([settled, placeTimeout.promise]);
    this.#unshare(run);
    for (const cancel of cancels) cancel();
  }

  #failed(run: StateRun, error: unknown): void {
    this.#unshare(run);
    // After an abort no join waits for the run.
    if (run.control.signal.aborted) return;
    // The joins themselves report a refusal.
    const isRefusal = isError(error) && error instanceof RoomRefusedError;
    if (!isRefusal) this.#hub.refused(error, 'calls of state failed');
    run.isRunning = false;
    run.result.reject(error);
  }

  /** @throws (rejects) {@link BackplaneError} when the engine is up, but does not answer. */
  async #positionOf(room: string): Promise<Position | undefined> {
    const { reads } = this.#hub.rooms;
    const isStale = this.#stale.delete(room);
    const known = isStale ? undefined : reads.knownPosition(room);
    if (known !== undefined) return known;
    if (this.#hub.link?.isAway === true) return undefined;
    try {
      return await reads.position(room);
    } catch (error) {
      if (this.#hub.link?.state !== 'down') throw error;
      return undefined;
    }
  }

  /** A member has got a state without a position, so the hub reports a gap when the engine is back. */
  markUnsure(room: string): void {
    this.#unsure.add(room);
    if (this.#awaitsEngine) return;
    this.#awaitsEngine = true;
    const reportGaps = (): void => {
      this.#awaitsEngine = false;
      for (const each of this.#unsure) this.#hub.missed(each, undefined);
    };
    const hubClosed = (): void => this.#unsure.clear();
    void this.#hub.withLink((link) => link.untilBack())?.then(reportGaps, hubClosed);
  }

  /** Called when the hub reports a gap to the members of a room, and when the room has no members. */
  clearUnsure(room: string): void {
    this.#unsure.delete(room);
  }

  /**
   * Reserves the bytes of a state for a session until {@link giveBack}, in the order of the calls.
   *
   * @returns Undefined when they are reserved; otherwise resolves when they are.
   */
  reserve(session: Session<Data>, bytes: number): Promise<void> | undefined {
    const known = this.#reserved.get(session);
    if (known === undefined) {
      this.#reserved.set(session, { bytes, next: [] });
      return undefined;
    }
    if (known.next.length === 0 && known.bytes + bytes <= MAX_WAITING_BYTES) {
      known.bytes += bytes;
      return undefined;
    }
    const reserved = new Deferred<void>();
    known.next.push({ bytes, reserved });
    return reserved.promise;
  }

  /** Called when a state was sent to the session, or will not be sent. */
  giveBack(session: Session<Data>, bytes: number): void {
    const known = this.#reserved.get(session)!;
    known.bytes -= bytes;
    for (let [next] = known.next; next !== undefined; [next] = known.next) {
      if (known.bytes > 0 && known.bytes + next.bytes > MAX_WAITING_BYTES) return;
      known.next.shift();
      known.bytes += next.bytes;
      next.reserved.resolve();
    }
    if (known.bytes === 0) this.#reserved.delete(session);
  }

  /** Keeps a state until {@link takeKept}, within bounds: a client that reads gets it soon. */
  keep(state: RoomState): KeptState {
    const { length } = state.message.bytes;
    if (this.#keptBytes + length > MAX_KEPT_BYTES) {
      return { state: undefined, cancelTimer: () => {} };
    }
    this.#keptBytes += length;
    const drop = (): void => void this.takeKept(kept);
    const kept: KeptState = { state, cancelTimer: this.#hub.platform.setTimer(KEPT_MS, drop) };
    return kept;
  }

  /** Undefined when the state was dropped. */
  takeKept(kept: KeptState): RoomState | undefined {
    const { state } = kept;
    kept.state = undefined;
    kept.cancelTimer();
    if (state !== undefined) this.#keptBytes -= state.message.bytes.length;
    return state;
  }
}
