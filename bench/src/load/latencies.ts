import { createHistogram } from 'node:perf_hooks';

/** Percentiles in ms. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly most: number;
}

const NS = 1e6;
/** Significant digits. The memory is bounded, however long a load is. */
const FIGURES = 3;
/** An hour, in ns. */
const HIGHEST = 3.6e12;

/** Durations in ms. */
export class Latencies {
  readonly #histogram = createHistogram({ lowest: 1, highest: HIGHEST, figures: FIGURES });

  record(ms: number): void {
    this.#histogram.record(Math.min(HIGHEST, Math.max(1, Math.round(ms * NS))));
  }

  get count(): number {
    return this.#histogram.count;
  }

  /** NaN without values. */
  percentiles(): Percentiles {
    const at = (percent: number): number =>
      this.count === 0 ? Number.NaN : this.#histogram.percentile(percent) / NS;
    return {
      p50: at(50),
      p90: at(90),
      p95: at(95),
      p99: at(99),
      p999: at(99.9),
      most: this.count === 0 ? Number.NaN : this.#histogram.max / NS,
    };
  }
}

/** Latencies of a load, also of its intervals. */
export class IntervalLatencies extends Latencies {
  #interval = new Latencies();

  override record(ms: number): void {
    super.record(ms);
    this.#interval.record(ms);
  }

  /** The percentiles since the last call. */
  endInterval(): Percentiles {
    const percentiles = this.#interval.percentiles();
    this.#interval = new Latencies();
    return percentiles;
  }
}
