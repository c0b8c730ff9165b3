import { type PreparedMessage, TimeoutError } from '@ws/conn';
import { Deferred, markHandled } from '@ws/conn/internal';
import { prepareResult } from '../arguments.ts';
import { Limit } from '../backplane/limit.ts';
import { RoomRefusedError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';

/** Most calls of one option `state` at a time. */
const MAX_CALLS = 32;
/** Longest time of a call, in ms. */
const CALL_MS = 10_000;
/** A call that is too late keeps its place until it settles, or for this time in ms. */
const PLACE_MS = 60_000;
/** Longest state, in bytes. */
const MAX_BYTES = 1_048_576;
/** Bound of the rooms whose known position the history cannot follow. */
const MAX_UNKNOWN = 1_000;
/** Bound of the states that wait for a session, in bytes. One state may be longer. */
const MAX_WAITING_BYTES = 262_144;

/** The state of a room, as its members get it. */
export interface RoomState {
  readonly message: PreparedMessage;
  /** The messages after this one follow; undefined while the engine is away. */
  readonly position: Position | undefined;
}

/** A call of the option `state`, before or while it runs. */
export interface StateRun {
  readonly room: string;
  readonly result: Deferred<RoomState>;
  readonly control: AbortController;
  /** Resumes that wait for it. */
  users: number;
  isRunning: boolean;
}

/** The states that wait for a session, or are being sent to it. */
interface Waiting {
  bytes: number;
  /** Resumes that wait until the session holds no state. */
  readonly next: Deferred<void>[];
}

/**
 * Calls the option `state` of rooms, once for many joins. A run first takes the position of the room,
 * then calls the function. The state may have later messages, but lacks none of the earlier ones.
 */
export class RoomStates<Data> {
  readonly #hub: Sessions<Data>;
  /** By the function of the option. A function that hangs delays no other. */
  readonly #calls = new Map<unknown, Limit>();
  /** The runs that have not ended, by room. Joins share them. */
  readonly #runs = new Map<string, StateRun>();
  /** Resolves when the last run of a room has given its place back. */
  readonly #places = new Map<string, Promise<void>>();
  /** The rooms for which this node knows a position that the history cannot follow. */
  readonly #unknown = new Set<string>();
  /** The rooms with members that have a state without a position. */
  readonly #unsure = new Set<string>();
  readonly #waiting = new Map<Session<Data>, Waiting>();

  constructor(hub: Sessions<Data>) {
    this.#hub = hub;
  }

  /** Shares the run of a room, or begins one. Call {@link release} for the result. */
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
    // A later join shares a run that has not begun.
    if (run.users > 0 || !run.isRunning) return;
    this.#unshare(run);
    run.control.abort();
  }

  /** No later join shares the run. */
  #unshare(run: StateRun): void {
    if (this.#runs.get(run.room) === run) this.#runs.delete(run.room);
  }

  /** The history cannot follow the last state. The next run reads the position. */
  notFollowed(room: string): void {
    // A room that is forgotten fails once more.
    if (this.#unknown.size === MAX_UNKNOWN) this.#unknown.clear();
    this.#unknown.add(room);
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

  /** Resolves when the run gives its place back. */
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
    const kept = new Deferred<void>();
    const cancels = [
      platform.setTimer(PLACE_MS, () => kept.resolve()),
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
    await Promise.race([settled, kept.promise]);
    this.#unshare(run);
    for (const cancel of cancels) cancel();
  }

  #failed(run: StateRun, error: unknown): void {
    this.#unshare(run);
    // No join waits for it.
    if (run.control.signal.aborted) return;
    // The joins report a refusal.
    if (!(error instanceof RoomRefusedError)) this.#hub.refused(error, 'calls of state failed');
    run.isRunning = false;
    run.result.reject(error);
  }

  /** @throws (rejects) {@link BackplaneError} when an engine that is there does not answer. */
  async #positionOf(room: string): Promise<Position | undefined> {
    const { reads } = this.#hub.rooms;
    const isUnknown = this.#unknown.delete(room);
    const known = isUnknown ? undefined : reads.knownPosition(room);
    if (known !== undefined) return known;
    if (this.#hub.link?.isAway === true) return undefined;
    try {
      return await reads.position(room);
    } catch (error) {
      if (this.#hub.link?.state !== 'down') throw error;
      return undefined;
    }
  }

  /** A member has got a state without a position. It learns of a gap when the engine is back. */
  isUnsure(room: string): void {
    if (this.#unsure.size === 0) {
      const tell = (): void => {
        for (const each of this.#unsure) {
          if (this.#hub.membersOf(each).size > 0) this.#hub.missed(each, undefined);
        }
        this.#unsure.clear();
      };
      // The hub closes.
      const forget = (): void => this.#unsure.clear();
      void this.#hub.withLink((link) => link.untilBack())?.then(tell, forget);
    }
    this.#unsure.add(room);
  }

  /** The members of a room know of a gap. */
  told(room: string): void {
    this.#unsure.delete(room);
  }

  /** Whether a session may hold a state of `bytes` until it is sent. Call {@link leaves} then. */
  hold(session: Session<Data>, bytes: number): boolean {
    const waiting = this.#waiting.get(session);
    if (waiting === undefined) this.#waiting.set(session, { bytes, next: [] });
    else if (waiting.next.length > 0 || waiting.bytes + bytes > MAX_WAITING_BYTES) return false;
    else waiting.bytes += bytes;
    return true;
  }

  /**
   * Resolves when a session holds no state, and reserves the place of one.
   *
   * @returns The bytes for {@link leaves}.
   */
  async untilFree(session: Session<Data>): Promise<number> {
    const waiting = this.#waiting.get(session);
    if (waiting === undefined) this.#waiting.set(session, { bytes: MAX_BYTES, next: [] });
    else {
      const turn = new Deferred<void>();
      waiting.next.push(turn);
      await turn.promise;
    }
    return MAX_BYTES;
  }

  /** A state of `bytes` was sent to the session, or will not be sent. */
  leaves(session: Session<Data>, bytes: number): void {
    const waiting = this.#waiting.get(session)!;
    waiting.bytes -= bytes;
    if (waiting.bytes > 0) return;
    const next = waiting.next.shift();
    if (next === undefined) return void this.#waiting.delete(session);
    waiting.bytes = MAX_BYTES;
    next.resolve();
  }
}
