import type { IntervalLatencies } from './latencies.ts';

/** Number of intervals of a load. */
const INTERVALS = 20;
const LEAST_MS = 100;

/** One interval of a load. */
export interface Interval {
  /** End of the interval, in ms since the start. */
  readonly at: number;
  /** Messages per second. */
  readonly rate: number;
  /** Latency in ms; null without a message. */
  readonly p50: number | null;
  readonly p99: number | null;
  /** Open connections, where they change. */
  readonly connections?: number;
}

/** The intervals of a load. While it runs, it costs a count now and then. */
export class Series {
  readonly #latencies: IntervalLatencies;
  readonly #counts: () => { readonly messages: number; readonly connections?: number };
  readonly #began = performance.now();
  readonly #intervals: Interval[] = [];
  #last = { at: 0, messages: 0 };
  readonly #timer: NodeJS.Timeout;

  /**
   * @param ms - Duration of the load.
   * @param counts - Messages since the start, and open connections.
   */
  constructor(
    ms: number,
    latencies: IntervalLatencies,
    counts: () => { readonly messages: number; readonly connections?: number },
  ) {
    this.#latencies = latencies;
    this.#counts = counts;
    this.#timer = setInterval(() => this.#mark(), Math.max(LEAST_MS, ms / INTERVALS));
  }

  /** Ends the series. A second call adds an interval to it, and has no other effect. */
  end(): Interval[] {
    clearInterval(this.#timer);
    this.#mark();
    return this.#intervals;
  }

  #mark(): void {
    const at = performance.now() - this.#began;
    const { messages, connections } = this.#counts();
    const { p50, p99 } = this.#latencies.endInterval();
    this.#intervals.push({
      at,
      rate: (1000 * (messages - this.#last.messages)) / (at - this.#last.at),
      p50: Number.isNaN(p50) ? null : p50,
      p99: Number.isNaN(p99) ? null : p99,
      ...(connections !== undefined && { connections }),
    });
    this.#last = { at, messages };
  }
}
