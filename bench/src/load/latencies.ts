import { percentile } from '../harness/statistics.ts';

/** Percentiles in ms. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly most: number;
}

/** Durations in ms. */
export class Latencies {
  #values = new Float64Array(4096);
  #count = 0;

  record(ms: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(2 * this.#count);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count++] = ms;
  }

  get count(): number {
    return this.#count;
  }

  /** The percentiles of the values from number `from` to number `to`. */
  percentiles(from = 0, to = this.#count): Percentiles {
    const sorted = this.#values.subarray(from, to).toSorted();
    const at = (share: number): number => percentile(sorted, share);
    return {
      p50: at(0.5),
      p90: at(0.9),
      p95: at(0.95),
      p99: at(0.99),
      p999: at(0.999),
      most: at(1),
    };
  }
}
