import { checkFunction, rejectPromise } from '../arguments.ts';

/**
 * 8 KiB of random words. A refill costs 2.4 us, which is 3 ns per key. One random call per key
 * would cost 1,500 ns.
 */
const POOL_WORDS = 2048;

/**
 * Masking keys from a pool of random words. RFC 6455, section 10.3, requires unpredictable keys, so
 * the words must come from a cryptographic source. Each key is returned once.
 *
 * @example
 * ```ts
 * import { randomFillSync } from 'node:crypto';
 * import { FrameEncoder, MaskKeys } from '@ws/codec';
 *
 * const keys = new MaskKeys((words) => randomFillSync(words));
 * const encoder = new FrameEncoder({ role: 'client', nextKey: () => keys.next() });
 * ```
 */
export class MaskKeys {
  readonly #words = new Int32Array(POOL_WORDS);
  readonly #fill: (words: Int32Array) => void;
  #left = 0;

  /**
   * @param randomFill - Overwrites all words of its argument with random ones, for example `(words)
   *   => crypto.getRandomValues(words)`.
   * @throws TypeError when it is not a function.
   */
  constructor(randomFill: (words: Int32Array) => void) {
    checkFunction('randomFill', randomFill);
    this.#fill = randomFill;
  }

  /**
   * Returns the next key, as a signed 32-bit integer.
   *
   * @throws TypeError when `randomFill` returns a promise: the words would still be zeros. The error
   *   of `randomFill`.
   */
  next(): number {
    const i = (this.#left || this.#refill()) - 1;
    this.#left = i;
    const words = this.#words;
    const key = words[i]!;
    // Erased: no later read of this memory may reveal a key that was sent.
    words[i] = 0;
    return key;
  }

  #refill(): number {
    const result: unknown = this.#fill(this.#words);
    rejectPromise('randomFill', result);
    return POOL_WORDS;
  }
}

let shared: MaskKeys | undefined;

/** The next of the thread's keys from the platform's `crypto`. The default of encoders. */
export function nextSharedKey(): number {
  shared ??= new MaskKeys((words) => crypto.getRandomValues(words));
  return shared.next();
}

/** @throws TypeError when the result of `nextKey` is not an integer of 32 bits. */
export function checkedKeys(nextKey: () => number): () => number {
  return () => {
    const key = nextKey();
    if ((key | 0) === key || key >>> 0 === key) return key;
    rejectPromise('nextKey', key);
    throw new TypeError(`nextKey must return an integer of 32 bits, not ${String(key)}`);
  };
}
