import type { RuntimeTimers } from '../platform/later-turns.ts';

/** Work that runs at a certain time of a turn: an object, so that a connection needs no closure. */
export interface TurnTask {
  /** Whether the task waits in a {@link TaskQueue}. Only the queue sets this, initially false. */
  awaitsTurn: boolean;
  /** Called once for each wait in a {@link TaskQueue}. Never throws. */
  onTurn(): void;
}

/** A function as a task, for code that does not run for each message. */
export class TurnCallback implements TurnTask {
  awaitsTurn = false;
  readonly onTurn: () => void;

  constructor(callback: () => void) {
    this.onTurn = callback;
  }
}

/** An array that had more tasks than this is not used again. */
const LONG = 1024;

/** The time in ms that a turn may take before its bytes no longer wait for its end. */
const LONG_TURN_MS = 10;
/** {@link TaskQueue.bytesAt} before the first bytes of a turn. */
export const NO_BYTES_YET = -1;
/** {@link TaskQueue.bytesAt} in a turn that takes longer than {@link LONG_TURN_MS}. */
export const LONG_TURN = -2;

/** Tasks of all connections of one platform. One callback of the platform runs them all, in order. */
export class TaskQueue {
  readonly #schedule: (run: () => void) => void;
  readonly #runtimeTimers: RuntimeTimers;
  /**
   * When the first bytes of this turn were queued for a transport, in whole ms of the platform's clock;
   * {@link NO_BYTES_YET}; or {@link LONG_TURN} once later bytes were queued long after the first.
   */
  bytesAt: number = NO_BYTES_YET;
  /** The `progress` of the last reader that queued a frame. A field of each connection would cost idle ones. */
  #answered = 0;
  /** Number of messages that were queued since {@link bytesAt} was set. */
  #queued = 0;
  #waiting: (TurnTask | undefined)[] = [];
  #count = 0;
  /** An empty array for the tasks that the next run adds. Undefined during a run. */
  #spare: (TurnTask | undefined)[] | undefined;

  /** @param schedule - Calls `run` once, later. */
  constructor(schedule: (run: () => void) => void, runtimeTimers: RuntimeTimers) {
    this.#schedule = schedule;
    this.#runtimeTimers = runtimeTimers;
  }

  /** Adds `task`, unless it already waits. A task added during a run waits for the next run. */
  add(task: TurnTask): void {
    this.#runtimeTimers.check();
    if (task.awaitsTurn) return;
    task.awaitsTurn = true;
    this.#waiting[this.#count++] = task;
    if (this.#count === 1) this.#schedule(this.run);
  }

  /**
   * Called when bytes are queued for a transport. A look at the clock costs an object, and one for each answer
   * a tenth of the speed. So a connection's first answer to a message looks when the messages of the turn have
   * doubled, and each 32nd does. Others look up to the 32nd, then sixteen times while their number doubles.
   *
   * @param progress - A number that changes when the connection's reader takes a message.
   * @returns Whether they must not wait for the end of the turn: its code computes between its messages.
   */
  bytesQueued(platform: { now(): number }, progress = 0): boolean {
    const isAnswer = progress !== this.#answered;
    this.#answered = progress;
    if (this.bytesAt === LONG_TURN) return true;
    if (this.bytesAt === NO_BYTES_YET) this.#queued = 0;
    const queued = ++this.#queued;
    const doublings = 31 - Math.clz32(queued);
    const step = 1 << (isAnswer ? Math.min(doublings, 5) : Math.max(doublings - 4, 0));
    if (queued % step !== 0) return false;
    const now = Math.ceil(platform.now());
    if (this.bytesAt === NO_BYTES_YET) this.bytesAt = now;
    else if (now - this.bytesAt > LONG_TURN_MS) this.bytesAt = LONG_TURN;
    return this.bytesAt === LONG_TURN;
  }

  /** Bytes were written before the end of the turn. Unless tasks wait, no others are queued. */
  bytesWritten(): void {
    if (this.#count === 0) this.bytesAt = NO_BYTES_YET;
  }

  /** Schedules {@link run} again, because the runtime has dropped the callback. */
  reschedule(): void {
    if (this.#count > 0) this.#schedule(this.run);
  }

  /** Runs the waiting tasks. Called by the platform, and by code that cannot wait for the callback. */
  readonly run = (): void => {
    const due = this.#waiting;
    const count = this.#count;
    this.#waiting = this.#spare ?? [];
    this.#spare = undefined;
    this.#count = 0;
    this.bytesAt = NO_BYTES_YET;
    let i = 0;
    try {
      while (i < count) {
        const task = due[i]!;
        due[i++] = undefined;
        task.awaitsTurn = false;
        task.onTurn();
      }
    } finally {
      // If a task throws despite its contract, the platform reports the error. The later tasks run
      // in the next call.
      while (i < count) {
        const task = due[i]!;
        due[i++] = undefined;
        task.awaitsTurn = false;
        this.add(task);
      }
      this.#spare = count > LONG ? undefined : due;
      this.bytesWritten();
    }
  };
}
