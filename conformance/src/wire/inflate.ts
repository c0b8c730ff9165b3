import { HardViolation, Violation } from '../model/verdicts.ts';

// A simple inflater (RFC 1951). zlib does not report match distances, block counts and final
// blocks, which the suite needs. It is slow, and gets at most a few MiB.

/** Contents of a DEFLATE stream. */
export interface Inflated {
  readonly bytes: Buffer;
  /** Largest distance of a match, in bytes. */
  readonly farthest: number;
  /** Number of blocks, including empty ones. */
  readonly blocks: number;
  /** True when a block has BFINAL set. */
  readonly final: boolean;
}

/**
 * Bases and extra bits of the length codes 257 to 285, and of the distance codes (RFC 1951, 3.2.5).
 */
const LENGTHS = tableOf(3, 29, 8, 4);
const DISTANCES = tableOf(1, 30, 4, 2);
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

function tableOf(first: number, count: number, plain: number, group: number): [number, number][] {
  const table: [number, number][] = [];
  let base = first;
  for (let code = 0; code < count; code++) {
    const extra = code < plain ? 0 : Math.floor(code / group) - 1;
    table.push([base, extra]);
    base += 2 ** extra;
  }
  // Length code 285 means exactly 258.
  if (first === 3) table[28] = [258, 0];
  return table;
}

/** The suite inflates no larger messages: twice the size of the largest that it sends compressed. */
const MAX_INFLATED = 4 * 1024 * 1024;

/** A canonical Huffman code: the number of codes of each length, and the symbols in order. */
interface Huffman {
  readonly counts: readonly number[];
  readonly symbols: readonly number[];
}

/**
 * @throws HardViolation for a code that is over-subscribed or incomplete (RFC 1951, 3.2.2 and 3.2.7).
 *   A code of one symbol, or of none, is incomplete and valid if `mayBeSingle`.
 */
function huffman(lengths: readonly number[], mayBeSingle = false): Huffman {
  const counts = Array.from({ length: 16 }, () => 0);
  for (const length of lengths) counts[length]!++;
  counts[0] = 0;
  let unused = 1;
  for (let length = 1; length < 16; length++) {
    unused = 2 * unused - counts[length]!;
    if (unused < 0) throw new HardViolation('the compressed data has an over-subscribed code');
  }
  const used = counts.reduce((sum, count) => sum + count);
  const single = mayBeSingle && used === counts[1] && used < 2;
  if (unused > 0 && !single) throw new HardViolation('the compressed data has an incomplete code');
  const symbols = lengths
    .map((length, symbol) => ({ length, symbol }))
    .filter(({ length }) => length > 0)
    .toSorted((a, b) => a.length - b.length || a.symbol - b.symbol)
    .map(({ symbol }) => symbol);
  return { counts, symbols };
}

const FIXED_LITERALS = huffman(
  Array.from({ length: 288 }, (_, at) => (at < 144 ? 8 : at < 256 ? 9 : at < 280 ? 7 : 8)),
);
/** Codes 30 and 31 exist, and no valid data uses them (RFC 1951, 3.2.6). */
const FIXED_DISTANCES = huffman(Array.from({ length: 32 }, () => 5));

/**
 * Inflates a whole stream.
 *
 * @param history - Earlier bytes that matches may refer to.
 * @throws HardViolation for invalid DEFLATE data, and for data that ends within a block.
 */
export function inflate(data: Uint8Array, history: Uint8Array = new Uint8Array(0)): Inflated {
  return new Inflater(data, history).run();
}

class Inflater {
  readonly #data: Uint8Array;
  readonly #start: number;
  #out: Buffer;
  #length: number;
  #at = 0;
  #bitBuffer = 0;
  #bitCount = 0;
  #farthest = 0;

  constructor(data: Uint8Array, history: Uint8Array) {
    this.#data = data;
    this.#start = history.length;
    this.#out = Buffer.alloc(history.length + data.length * 4 + 1024);
    this.#out.set(history);
    this.#length = history.length;
  }

  run(): Inflated {
    let blocks = 0;
    let final = false;
    // A final block ends a stream but not a message (RFC 7692, 7.2.3.4): another stream may follow.
    while (this.#at < this.#data.length || this.#bitCount > 0) {
      const last = this.#bits(1) === 1;
      const type = this.#bits(2);
      blocks++;
      if (type === 0) this.#stored();
      else if (type === 1) this.#coded(FIXED_LITERALS, FIXED_DISTANCES);
      else if (type === 2) this.#dynamic();
      else throw new HardViolation('the compressed data has a block of type 3');
      if (!last) continue;
      final = true;
      this.#bitBuffer = 0;
      this.#bitCount = 0;
    }
    const bytes = this.#out.subarray(this.#start, this.#length);
    return { bytes, farthest: this.#farthest, blocks, final };
  }

  #stored(): void {
    this.#bitBuffer = 0;
    this.#bitCount = 0;
    const header = this.#data.subarray(this.#at, this.#at + 4);
    const size = header[0]! | (header[1]! << 8);
    const inverse = header[2]! | (header[3]! << 8);
    if (header.length < 4 || (size ^ inverse) !== 0xffff) {
      throw new HardViolation('the compressed data has a stored block with a wrong length');
    }
    this.#at += 4;
    if (this.#at + size > this.#data.length) throw this.#truncated();
    for (let left = size; left > 0; left--) this.#put(this.#data[this.#at++]!);
  }

  #dynamic(): void {
    const literals = this.#bits(5) + 257;
    const distances = this.#bits(5) + 1;
    const count = this.#bits(4) + 4;
    if (literals > 286 || distances > 30) {
      throw new HardViolation('the compressed data has more codes than RFC 1951, 3.2.7, allows');
    }
    const order = Array.from({ length: 19 }, () => 0);
    for (let at = 0; at < count; at++) order[CODE_LENGTH_ORDER[at]!] = this.#bits(3);
    const code = huffman(order);
    const lengths: number[] = [];
    while (lengths.length < literals + distances) {
      const symbol = this.#symbol(code);
      if (symbol < 16) {
        lengths.push(symbol);
        continue;
      }
      const value = symbol === 16 ? lengths.at(-1) : 0;
      if (value === undefined) {
        throw new HardViolation('the compressed data repeats a code length before the first one');
      }
      const times =
        symbol === 16 ? 3 + this.#bits(2) : symbol === 17 ? 3 + this.#bits(3) : 11 + this.#bits(7);
      for (let left = times; left > 0; left--) lengths.push(value);
    }
    if (lengths.length > literals + distances) {
      throw new HardViolation('the compressed data repeats a code length beyond the last one');
    }
    if (lengths[256] === 0) throw new HardViolation('the compressed data has no code for its end');
    this.#coded(huffman(lengths.slice(0, literals), true), huffman(lengths.slice(literals), true));
  }

  #coded(literals: Huffman, distances: Huffman): void {
    for (;;) {
      const symbol = this.#symbol(literals);
      if (symbol === 256) return;
      if (symbol < 256) {
        this.#put(symbol);
        continue;
      }
      const [base, extra] = this.#entry(LENGTHS, symbol - 257);
      const length = base + this.#bits(extra);
      const [far, more] = this.#entry(DISTANCES, this.#symbol(distances));
      const distance = far + this.#bits(more);
      if (distance > this.#length) {
        throw new HardViolation(
          `the compressed data refers ${distance} bytes back, but only ${this.#length} exist`,
        );
      }
      this.#farthest = Math.max(this.#farthest, distance);
      for (let left = length; left > 0; left--) this.#put(this.#out[this.#length - distance]!);
    }
  }

  #entry(table: readonly [number, number][], at: number): [number, number] {
    const entry = table[at];
    if (entry === undefined)
      throw new HardViolation('the compressed data contains an undefined code');
    return entry;
  }

  #symbol({ counts, symbols }: Huffman): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length < 16; length++) {
      code |= this.#bits(1);
      const count = counts[length]!;
      if (code - count < first) return symbols[index + (code - first)]!;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new HardViolation('the compressed data contains an undefined code');
  }

  #bits(count: number): number {
    while (this.#bitCount < count) {
      if (this.#at >= this.#data.length) throw this.#truncated();
      this.#bitBuffer |= this.#data[this.#at++]! << this.#bitCount;
      this.#bitCount += 8;
    }
    const value = this.#bitBuffer & ((1 << count) - 1);
    this.#bitBuffer >>>= count;
    this.#bitCount -= count;
    return value;
  }

  #put(byte: number): void {
    if (this.#length === this.#out.length) {
      if (this.#length > MAX_INFLATED) {
        // No rule of every case: a target may accept messages of any size.
        throw new Violation(`the message inflates to more than ${MAX_INFLATED} bytes`);
      }
      this.#out = Buffer.concat([this.#out, Buffer.alloc(this.#out.length)]);
    }
    this.#out[this.#length++] = byte;
  }

  #truncated(): HardViolation {
    return new HardViolation('the compressed data ends within a block');
  }
}
