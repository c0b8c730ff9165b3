import { RuntimeTimers } from '../platform/later-turns.ts';
import { type Platform, perPlatform } from '../platform/platform.ts';
import { TaskQueue } from './task-queue.ts';
import { Timers } from './timers.ts';

/**
 * Calls the connections of one platform later: at the end of the turn, in a later turn, or at a set
 * time. A turn is one callback of the event loop with its microtasks. For each of the three times, all
 * connections share one callback of the platform. After a test has replaced the runtime's timers, the
 * next call schedules all waiting callbacks again.
 */
export class Scheduler {
  /** Runs after all ready microtasks. */
  readonly endOfTurn: TaskQueue;
  /** Runs after pending I/O. */
  readonly laterTurn: TaskQueue;
  readonly timers: Timers;

  constructor(platform: Platform) {
    const runtimeTimers = new RuntimeTimers(
      () => this.timers.reschedule(),
      () => {
        this.endOfTurn.reschedule();
        this.laterTurn.reschedule();
      },
    );
    this.endOfTurn = new TaskQueue((run) => platform.defer(run), runtimeTimers);
    this.laterTurn = new TaskQueue((run) => platform.yield(run), runtimeTimers);
    this.timers = new Timers(platform, this.endOfTurn, runtimeTimers);
  }
}

export const schedulerOf: (platform: Platform) => Scheduler = /* @__PURE__ */ perPlatform(
  (platform) => new Scheduler(platform),
);
