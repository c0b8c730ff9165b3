/** Payload sizes around every border: of the length's three forms, of a chunk, of what a transport takes at once. */
export const SIZES: readonly number[] = [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 1 << 24];

/** Mulberry32 from a seed: the same numbers in every run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A whole number from 0 to 2^32 - 1. */
  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    return this.word() % below;
  }
}

/** Bytes in which one that is lost, out of place or of another seed shows. */
export function pattern(size: number, seed = 1): Buffer {
  const words = new Uint32Array((size + 3) >>> 2);
  let word = Math.imul(seed, 0x9e3779b1) | 1;
  for (let i = 0; i < words.length; i++) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    words[i] = word;
  }
  return Buffer.from(words.buffer, 0, size);
}

/** Text of exactly `size` bytes of UTF-8, with characters of one to four bytes, in which a shift shows. */
export function patternText(size: number): string {
  const pieces: string[] = [];
  let left = size;
  for (let i = 0; left >= 16; i++) {
    const digits = String(i).padStart(7, '0');
    pieces.push(`${digits}é€😀`);
    left -= 16;
  }
  return pieces.join('') + 'x'.repeat(left);
}
