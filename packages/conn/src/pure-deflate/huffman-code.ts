const MAX_LENGTH = 15;
/** Codes of at most this length are found by one look into a table. */
const FAST_BITS = 9;

/** More bits are necessary. */
export const UNKNOWN = 0;
/** No code has these bits. */
export const INVALID = -1;

/** A canonical Huffman code (RFC 1951, section 3.2.2). It is rebuilt in place for each block. */
export class HuffmanCode {
  /** For the next bits: the symbol and the length of its code, see {@link find}. */
  readonly #fast = new Uint16Array(1 << FAST_BITS);
  /** Number of codes of each length. */
  readonly #counts = new Uint16Array(MAX_LENGTH + 1);
  /** Symbols in the order of their codes. */
  readonly #symbols: Uint16Array;
  readonly #offsets = new Uint16Array(MAX_LENGTH + 1);

  /** @param most - Most symbols that the code has. */
  constructor(most: number) {
    this.#symbols = new Uint16Array(most);
  }

  /**
   * Assigns a code to each symbol of an alphabet. `lengths[from]` is the length in bits of the code
   * of symbol 0, and so on up to `to`; 0 means that the symbol has no code.
   *
   * @param mayBeSingle - Whether one code of one bit is enough.
   * @returns False when the lengths make no code: too many, or codes are left over. As in zlib, a
   *   code without symbols is valid until a symbol is needed.
   */
  build(lengths: Uint8Array, from: number, to: number, mayBeSingle: boolean): boolean {
    const counts = this.#counts.fill(0);
    for (let i = from; i < to; i++) counts[lengths[i]!]!++;
    const isEmpty = counts[0] === to - from;
    counts[0] = 0;
    let left = 1;
    for (let length = 1; length <= MAX_LENGTH; length++) {
      left = 2 * left - counts[length]!;
      if (left < 0) return false;
    }
    const isSingle = mayBeSingle && left === 1 << (MAX_LENGTH - 1) && counts[1] === 1;
    if (left > 0 && !isEmpty && !isSingle) return false;
    this.#sort(lengths, from, to);
    this.#fillFast();
    return true;
  }

  #sort(lengths: Uint8Array, from: number, to: number): void {
    const offsets = this.#offsets;
    for (let length = 1; length < MAX_LENGTH; length++) {
      offsets[length + 1] = offsets[length]! + this.#counts[length]!;
    }
    for (let i = from; i < to; i++) {
      const length = lengths[i]!;
      if (length > 0) this.#symbols[offsets[length]!++] = i - from;
    }
    offsets[1] = 0;
  }

  #fillFast(): void {
    const fast = this.#fast.fill(UNKNOWN);
    let reversed = 0;
    let at = 0;
    for (let length = 1; length <= FAST_BITS; length++) {
      for (let left = this.#counts[length]!; left > 0; left--) {
        const entry = (this.#symbols[at++]! << 4) | length;
        for (let i = reversed; i < fast.length; i += 1 << length) fast[i] = entry;
        reversed = nextReversed(reversed, length);
      }
    }
  }

  /**
   * Finds the code that begins at the lowest bit of `bits`.
   *
   * @param count - Number of bits that are known. The others are 0.
   * @returns The symbol times 16 plus the length of its code, or `UNKNOWN` or `INVALID`.
   */
  find(bits: number, count: number): number {
    const entry = this.#fast[bits & ((1 << FAST_BITS) - 1)]!;
    if (entry !== UNKNOWN) return (entry & 15) <= count ? entry : UNKNOWN;
    return this.#findLong(bits, count);
  }

  #findLong(bits: number, count: number): number {
    let code = 0;
    let first = 0;
    let at = 0;
    for (let length = 1; length <= MAX_LENGTH; length++) {
      if (length > count) return UNKNOWN;
      code |= (bits >> (length - 1)) & 1;
      const ofLength = this.#counts[length]!;
      if (code - first < ofLength) return (this.#symbols[at + code - first]! << 4) | length;
      at += ofLength;
      first = (first + ofLength) << 1;
      code <<= 1;
    }
    return INVALID;
  }
}

/** Returns the code after `reversed`. Both have `length` bits, and their first bit is lowest. */
function nextReversed(reversed: number, length: number): number {
  let bit = 1 << (length - 1);
  let next = reversed;
  for (; (next & bit) !== 0; bit >>= 1) next ^= bit;
  return next | bit;
}

/** The bits of a code, its first bit lowest, as DEFLATE has them. */
export function reverse(code: number, length: number): number {
  let reversed = 0;
  for (let i = 0; i < length; i++) reversed |= ((code >> i) & 1) << (length - 1 - i);
  return reversed;
}
