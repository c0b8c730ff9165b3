import type { Deflater, History } from '../platform/deflate-engine.ts';
import { reverse } from './huffman-code.ts';

/** The largest window of DEFLATE, in bytes. */
const WINDOW = 32_768;
/** Plain bytes that are compressed at a time: 0.2 ms of work. */
export const CHUNK = 32_768;
/** The end of each chunk: an empty stored block without its first byte (RFC 7692, section 7.2.1). */
export const TAIL: Uint8Array = /* @__PURE__ */ Uint8Array.of(0x00, 0x00, 0xff, 0xff);
/** Size in bytes of the header of a stored block (RFC 1951, section 3.2.4). */
const STORED_HEADER = 5;
/** Bytes after the result that a block may overwrite: the last match, and the end of the block. */
const SLACK = 9;
const HASH_BITS = 11;
const MIN_MATCH = 3;
const MAX_MATCH = 258;

/**
 * A {@link Deflater} in plain JavaScript. It compresses chunk by chunk, each in one block with the
 * fixed codes of RFC 1951, section 3.2.6, at every level. A chunk is never larger than in a stored
 * block. It flushes after each chunk.
 */
export class PureDeflater implements Deflater {
  used = 0;
  produced = 0;
  /** The largest distance of a match, in bytes. */
  readonly #farthest: number;
  /** The newest plain bytes: `#text[0, #size)`. */
  readonly #text = new Uint8Array(WINDOW + CHUNK);
  #size = 0;
  /** For each hash, the end of the last three bytes that have it, as an index of `#text`. 0: none. */
  readonly #matches = new Int32Array(1 << HASH_BITS);
  /** The last chunk, compressed. `#output[#at, #end)` is not returned yet. */
  readonly #output = new Uint8Array(storedSize(CHUNK) + SLACK);
  #at = 0;
  #outputEnd = 0;

  /** @param windowBits - The largest distance of a match, as a power of two in bytes: 8 to 15. */
  constructor(windowBits: number) {
    this.#farthest = 1 << windowBits;
  }

  reset(history: History | undefined): void {
    this.#at = this.#outputEnd = 0;
    this.#matches.fill(0);
    this.#size = history?.length ?? 0;
    history?.copyTo(this.#text, 0);
    for (let end = MIN_MATCH; end <= this.#size; end++) {
      this.#matches[hash(this.#text, end - MIN_MATCH)] = end;
    }
  }

  write(
    input: Uint8Array,
    from: number,
    to: number,
    _flush: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): boolean {
    this.used = this.produced = 0;
    for (;;) {
      const size = Math.min(this.#outputEnd - this.#at, end - at - this.produced);
      output.set(this.#output.subarray(this.#at, this.#at + size), at + this.produced);
      this.#at += size;
      this.produced += size;
      if (this.#at < this.#outputEnd) return false;
      const next = from + this.used;
      if (next === to) return true;
      this.#compress(input, next, Math.min(to, next + CHUNK));
    }
  }

  close(): void {}

  #compress(input: Uint8Array, from: number, to: number): void {
    if (this.#size + to - from > this.#text.length) this.#slide();
    const start = this.#size;
    this.#text.set(input.subarray(from, to), start);
    this.#size += to - from;
    const size = this.#fixedBlock(start) || this.#storedBlock(start);
    this.#output.set(TAIL, size);
    this.#at = 0;
    this.#outputEnd = size + TAIL.length;
    this.used += to - from;
  }

  /** Keeps one window of the plain bytes. */
  #slide(): void {
    const cut = this.#size - WINDOW;
    this.#text.copyWithin(0, cut, this.#size);
    this.#size = WINDOW;
    const matches = this.#matches;
    for (let i = 0; i < matches.length; i++) matches[i] = Math.max(0, matches[i]! - cut);
  }

  /** @returns Size of the block in bytes; 0 when a stored block is smaller. */
  #fixedBlock(start: number): number {
    const text = this.#text;
    const matches = this.#matches;
    const output = this.#output;
    const end = this.#size;
    const limit = storedSize(end - start);
    let out = 0;
    // Fewer than 16 bits that are not written yet. The first three are the header of the block.
    let bits = 0b010;
    let count = 3;
    for (let i = start; i < end; ) {
      if (out > limit) return 0;
      let length = 0;
      let distance = 0;
      if (i + MIN_MATCH <= end) {
        const slot = hash(text, i);
        const before = matches[slot]!;
        matches[slot] = i + MIN_MATCH;
        distance = i + MIN_MATCH - before;
        if (before > 0 && distance <= this.#farthest) {
          length = matchLength(text, i - distance, i, end);
        }
      }
      if (length < MIN_MATCH) {
        const code = LITERALS[text[i]!]!;
        bits |= (code >> 4) << count;
        count += code & 15;
        i++;
      } else {
        const code = LENGTHS[length]!;
        bits |= (code >> 4) << count;
        count += code & 15;
        while (count >= 8) {
          output[out++] = bits;
          bits >>>= 8;
          count -= 8;
        }
        // Two codes for each power of two (RFC 1951, section 3.2.5).
        const far = distance - 1;
        const extra = far < 4 ? 0 : 30 - Math.clz32(far);
        bits |= DISTANCES[2 * extra + (far >> extra)]! << count;
        bits |= (far & ((1 << extra) - 1)) << (count + 5);
        count += 5 + extra;
        i += length;
      }
      if (count >= 16) {
        output[out++] = bits;
        output[out++] = bits >> 8;
        bits >>>= 16;
        count -= 16;
      }
    }
    // Seven zeros end the block, three begin an empty stored block.
    count += 10;
    for (; count > 0; count -= 8) {
      output[out++] = bits;
      bits >>>= 8;
    }
    return out > limit ? 0 : out;
  }

  /** @returns Size of the block in bytes, with the first byte of an empty stored block. */
  #storedBlock(start: number): number {
    const size = this.#size - start;
    const header = [0, size, size >> 8, ~size, ~size >> 8];
    this.#output.set(header);
    this.#output.set(this.#text.subarray(start, this.#size), STORED_HEADER);
    this.#output[STORED_HEADER + size] = 0;
    return storedSize(size);
  }
}

/** Bytes of a stored block for `size` bytes of text, and of the first byte of the empty block after it. */
function storedSize(size: number): number {
  return STORED_HEADER + size + 1;
}

/** The hash of `text[at, at + 3)`. */
function hash(text: Uint8Array, at: number): number {
  const three = text[at]! | (text[at + 1]! << 8) | (text[at + 2]! << 16);
  return Math.imul(three, 0x9e3779b1) >>> (32 - HASH_BITS);
}

function matchLength(text: Uint8Array, before: number, at: number, end: number): number {
  const most = Math.min(MAX_MATCH, end - at);
  let length = 0;
  while (length < most && text[before + length] === text[at + length]) length++;
  return length;
}

/** `code` with its first bit lowest, then the number of bits in four bits. */
function packed(code: number, length: number, extra = 0, extraBits = 0): number {
  const reversed = reverse(code, length) | (extra << length);
  return (reversed << 4) | (length + extraBits);
}

/** The fixed codes of literals (RFC 1951, section 3.2.6). */
const LITERALS = /* @__PURE__ */ Int32Array.from({ length: 256 }, (_, byte) =>
  byte < 144 ? packed(0x30 + byte, 8) : packed(0x190 + byte - 144, 9),
);

/** The fixed codes of match lengths, with their extra bits (RFC 1951, section 3.2.5). */
const LENGTHS = /* @__PURE__ */ Int32Array.from({ length: MAX_MATCH + 1 }, (_, length) => {
  if (length < MIN_MATCH) return 0;
  if (length === MAX_MATCH) return lengthCode(285);
  const above = length - MIN_MATCH;
  const extraBits = above < 8 ? 0 : 29 - Math.clz32(above);
  const symbol = 257 + 4 * extraBits + (above >> extraBits);
  return lengthCode(symbol, above & ((1 << extraBits) - 1), extraBits);
});

function lengthCode(symbol: number, extra = 0, extraBits = 0): number {
  return symbol < 280
    ? packed(symbol - 256, 7, extra, extraBits)
    : packed(0xc0 + symbol - 280, 8, extra, extraBits);
}

/** The fixed codes of distances: five bits, the first one lowest. */
const DISTANCES = /* @__PURE__ */ Int32Array.from({ length: 30 }, (_, symbol) =>
  reverse(symbol, 5),
);
