import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import process from 'node:process';

const RESOLUTION_MS = 10;

/** What the page draws: one point a second. */
export interface Sample {
  /** Seconds since 1970. */
  readonly at: number;
  /** Connections that are open. */
  readonly connections: number;
  /** Per cent of one core that this process has used since the last sample. */
  readonly cpu: number;
  /** MiB of memory. */
  readonly memory: number;
  /** ms that the event loop was late, in 99 of 100 turns no more than this. */
  readonly delay: number;
}

/** Measures this process, between one sample and the next. */
export class Metrics {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #cpu = process.cpuUsage();
  #at = performance.now();

  constructor() {
    this.#delay.enable();
  }

  sample(connections: number): Sample {
    const { user, system } = process.cpuUsage(this.#cpu);
    const elapsed = performance.now() - this.#at;
    // It waits for that long itself.
    const late = this.#delay.percentile(99) / 1e6 - RESOLUTION_MS;
    this.#cpu = process.cpuUsage();
    this.#at = performance.now();
    this.#delay.reset();
    return {
      at: Date.now() / 1000,
      connections,
      cpu: round((user + system) / 10 / elapsed),
      memory: round(process.memoryUsage.rss() / 1024 ** 2),
      delay: round(Math.max(0, late)),
    };
  }

  stop(): void {
    this.#delay.disable();
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
