/** Random numbers from a seed: the same seed gives the same run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A whole number from 0 to 2^32 - 1. Mulberry32: short, and good enough for choices that nobody attacks. */
  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** A whole number from 0 up to, and without, `end`; 0 where there is none. */
  below(end: number): number {
    return end < 1 ? 0 : this.word() % end;
  }

  /** 1 to `most`, small numbers more often than large ones. */
  size(most: number): number {
    return 1 + this.below(1 + this.below(1 + this.below(most)));
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}
