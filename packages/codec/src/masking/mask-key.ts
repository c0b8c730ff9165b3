/** 8 KiB of random words: a refill costs 2.4 us, which makes 3 ns a key; a random call for each key costs 1,500. */
const POOL_WORDS = 2048;

/**
 * Masking keys out of a pool of random words. RFC 6455, section 10.3, wants them unpredictable, so the words must come
 * from a cryptographic source. No key is given twice.
 */
export class MaskKeys {
  readonly #words = new Int32Array(POOL_WORDS);
  readonly #fill: (words: Int32Array) => void;
  #left = 0;

  /**
   * @param randomFill - Overwrites all words it is given with random ones, for example
   *   `(words) => crypto.getRandomValues(words)`.
   * @throws TypeError when it is no function.
   */
  constructor(randomFill: (words: Int32Array) => void) {
    if (typeof randomFill !== 'function') throw new TypeError('randomFill must be a function');
    this.#fill = randomFill;
  }

  /** The next key, as a signed 32-bit integer. */
  next(): number {
    const i = (this.#left || this.#refill()) - 1;
    this.#left = i;
    const words = this.#words;
    const key = words[i]!;
    // A key that went out must not be read from memory later.
    words[i] = 0;
    return key;
  }

  #refill(): number {
    this.#fill(this.#words);
    return POOL_WORDS;
  }
}

let shared: MaskKeys | undefined;

/** The thread's own keys, from the platform's `crypto`: what encoders use that are given none. */
export function sharedMaskKeys(): MaskKeys {
  shared ??= new MaskKeys((words) => crypto.getRandomValues(words));
  return shared;
}
