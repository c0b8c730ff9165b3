import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import process from 'node:process';

const RESOLUTION_MS = 10;

/** One point of the charts. */
export interface Sample {
  /** Seconds since 1970. */
  readonly at: number;
  /** Open connections. */
  readonly connections: number;
  /** CPU time of this process since the last sample, in per cent of one core. */
  readonly cpu: number;
  /** Resident memory in MiB. */
  readonly memory: number;
  /** Delay of the event loop in ms, 99th percentile. */
  readonly delay: number;
}

/** Measures this process between two samples. */
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
    // The monitor itself waits for RESOLUTION_MS.
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
