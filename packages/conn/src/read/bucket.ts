/** The constants of token buckets. Infinity as `size` is no bound. */
export interface BucketPlan {
  /** Tokens that come back in a ms. */
  readonly perMs: number;
  /** Most tokens. */
  readonly size: number;
}

/** Part of a token that a bucket may lack because of rounding. */
const ROUNDING = 1e-6;

/** A token bucket. Whoever takes tokens first looks whether it {@link has} some, or leaves a debt. */
export class Bucket {
  readonly plan: BucketPlan;
  /** Below 0: a debt, which is paid before there is a token again. */
  tokens: number;
  /** When the tokens were counted last, in ms. */
  #filledAt: number;

  /** @param now - In ms, by the clock of {@link refill}. */
  constructor(plan: BucketPlan, now: number) {
    this.plan = plan;
    this.tokens = plan.size;
    this.#filledAt = now;
  }

  /** Adds the tokens of the elapsed time. */
  refill(now: number): void {
    const { perMs, size } = this.plan;
    // A clock may be set back, although `Platform.now` asks for a monotonic one.
    const ms = Math.max(0, now - this.#filledAt);
    this.#filledAt = now;
    // Without a bound, the product could be Infinity * 0, which is NaN.
    if (size !== Infinity) this.tokens = Math.min(size, this.tokens + ms * perMs);
  }

  /** Whether it has `count` tokens. */
  has(count: number): boolean {
    return this.tokens >= count - ROUNDING;
  }

  /** Ms until it has `count` tokens. */
  msUntil(count: number): number {
    return this.has(count) ? 0 : (count - this.tokens) / this.plan.perMs;
  }
}
