import type { RuntimeTimers } from '../platform/later-turns.ts';

/** Work for a turn. An object, so that a connection needs no closure. */
export interface TurnTask {
  /** Whether the task waits in a {@link TaskQueue}, which maintains it. Initially false. */
  awaitsTurn: boolean;
  /** Called once for each time that the task waits. Never throws. */
  onTurn(): void;
}

/** A function as a task, for code that is not called for each message. */
export class TurnCallback implements TurnTask {
  awaitsTurn = false;
  readonly onTurn: () => void;

  constructor(callback: () => void) {
    this.onTurn = callback;
  }
}

/** A queue with more tasks than this is dropped after its run. */
const LONG = 1024;

/** Tasks of all connections of one platform. One callback of the platform runs them all, in order. */
export class TaskQueue {
  readonly #schedule: (run: () => void) => void;
  readonly #runtime: RuntimeTimers;
  #waiting: (TurnTask | undefined)[] = [];
  #count = 0;
  /** An empty queue for the tasks that are added during the next run. Undefined during a run. */
  #spare: (TurnTask | undefined)[] | undefined;

  /** @param schedule - Calls `run` once, later. */
  constructor(schedule: (run: () => void) => void, runtime: RuntimeTimers) {
    this.#schedule = schedule;
    this.#runtime = runtime;
  }

  /** Adds `task`, unless it waits already. A task that is added during a run waits for the next. */
  add(task: TurnTask): void {
    this.#runtime.check();
    if (task.awaitsTurn) return;
    task.awaitsTurn = true;
    this.#waiting[this.#count++] = task;
    if (this.#count === 1) this.#schedule(this.run);
  }

  /** Schedules the tasks that wait again: the runtime has dropped the callback. */
  reschedule(): void {
    if (this.#count > 0) this.#schedule(this.run);
  }

  /** Runs the tasks that wait. The platform calls it, and code that cannot wait for the turn. */
  readonly run = (): void => {
    const due = this.#waiting;
    const count = this.#count;
    this.#waiting = this.#spare ?? [];
    this.#spare = undefined;
    this.#count = 0;
    let i = 0;
    try {
      while (i < count) {
        const task = due[i]!;
        due[i++] = undefined;
        task.awaitsTurn = false;
        task.onTurn();
      }
    } finally {
      // If a task throws despite its contract, the platform reports it. The tasks after it run in
      // the next call.
      while (i < count) {
        const task = due[i]!;
        due[i++] = undefined;
        task.awaitsTurn = false;
        this.add(task);
      }
      this.#spare = count > LONG ? undefined : due;
    }
  };
}
