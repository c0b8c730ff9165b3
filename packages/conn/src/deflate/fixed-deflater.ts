import { reverse } from './huffman-code.ts';

/** Largest stored block, in bytes, and the size of its header (RFC 1951, section 3.2.4). */
const LARGEST_STORED = 0xffff;
const STORED_HEADER = 5;
/** Bytes after its result that `deflate` may overwrite: the last match, and the end of the block. */
const SLACK = 9;
const HASH_BITS = 11;
const MIN_MATCH = 3;
const MAX_MATCH = 258;
/** Positions in the hash table are not larger: they are 32-bit integers. */
const MAX_POSITION = 2 ** 31 - 1;

/** Room in bytes that {@link FixedDeflater.deflate} needs for a message of `size` bytes. */
export function roomToDeflate(size: number): number {
  return storedSize(size) + SLACK;
}

/**
 * Compresses whole messages with the fixed codes of RFC 1951, section 3.2.6, in plain JavaScript.
 * Each message is compressed alone. Up to some hundred bytes this is several times faster than
 * zlib, which clears its tables and builds Huffman trees for each message.
 */
export class FixedDeflater {
  /**
   * For each hash, the last position of three bytes that have it. The array is never cleared: a
   * position below the base of the current message belongs to an earlier message.
   */
  readonly #positions = new Int32Array(1 << HASH_BITS);
  /** Position of the first byte of the next message, above 0: an empty slot has position 0. */
  #base: number;

  /** @param base - For tests. */
  constructor(base = 1) {
    this.#base = base;
  }

  /**
   * Compresses `bytes[start, end)` to the start of `output`, which has {@link roomToDeflate} bytes.
   * The result is never larger than the message in stored blocks. It ends without 00 00 FF FF (RFC
   * 7692, section 7.2.1).
   *
   * @param windowBits - Largest distance of a match, as a power of two in bytes: 8 to 15.
   * @returns Size of the result in bytes.
   */
  deflate(
    bytes: Uint8Array,
    start: number,
    end: number,
    output: Uint8Array,
    windowBits: number,
  ): number {
    const size = this.#fixedBlock(bytes, start, end, output, 1 << windowBits);
    return size === 0 ? storeMessage(bytes, start, end, output) : size;
  }

  /** @returns Size of the result in bytes; 0 when stored blocks are smaller. */
  #fixedBlock(
    bytes: Uint8Array,
    start: number,
    end: number,
    output: Uint8Array,
    farthest: number,
  ): number {
    const positions = this.#positions;
    const base = this.#advance(end - start);
    const limit = storedSize(end - start);
    const lastMatch = end - MIN_MATCH;
    let out = 0;
    // Fewer than 16 bits that are not written yet. The first three are the header of the block.
    let bits = 0b010;
    let count = 3;
    for (let i = start; i < end; ) {
      if (out > limit) return 0;
      let length = 0;
      let distance = 0;
      if (i <= lastMatch) {
        const slot = hash(bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16));
        const before = positions[slot]!;
        const position = base + i - start;
        positions[slot] = position;
        distance = position - before;
        if (before >= base && distance <= farthest) {
          length = matchLength(bytes, i - distance, i, end);
        }
      }
      if (length < MIN_MATCH) {
        const code = LITERALS[bytes[i]!]!;
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

  /** Returns the position of the first byte of a message of `size` bytes. */
  #advance(size: number): number {
    let base = this.#base;
    if (base > MAX_POSITION - size) {
      this.#positions.fill(0);
      base = 1;
    }
    this.#base = base + size;
    return base;
  }
}

/** Size in bytes of a message in stored blocks, with the first byte of an empty stored block. */
function storedSize(size: number): number {
  return size + Math.ceil(size / LARGEST_STORED) * STORED_HEADER + 1;
}

function storeMessage(bytes: Uint8Array, start: number, end: number, output: Uint8Array): number {
  let out = 0;
  for (let from = start; from < end; from += LARGEST_STORED) {
    const size = Math.min(end - from, LARGEST_STORED);
    output[out++] = 0;
    output[out++] = size;
    output[out++] = size >> 8;
    output[out++] = ~size;
    output[out++] = ~size >> 8;
    for (let i = 0; i < size; i++) output[out++] = bytes[from + i]!;
  }
  output[out++] = 0;
  return out;
}

function hash(threeBytes: number): number {
  return Math.imul(threeBytes, 0x9e3779b1) >>> (32 - HASH_BITS);
}

function matchLength(bytes: Uint8Array, before: number, at: number, end: number): number {
  const most = Math.min(MAX_MATCH, end - at);
  let length = 0;
  while (length < most && bytes[before + length] === bytes[at + length]) length++;
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
