import { constants, deflateRawSync } from 'node:zlib';
import { HardViolation } from '../model/verdicts.ts';
import { type Inflated, inflate } from './inflate.ts';

/** Negotiated parameters of permessage-deflate (RFC 7692, 7.1). */
export interface DeflateTerms {
  /** True: the server resets its compression context after each message. */
  readonly serverNoContextTakeover: boolean;
  /** True: the client resets its compression context after each message. */
  readonly clientNoContextTakeover: boolean;
  /** Window bits of the server, 8 to 15. */
  readonly serverMaxWindowBits: number;
  /** Window bits of the client, 8 to 15. */
  readonly clientMaxWindowBits: number;
}

/** The end of a compressed message. The sender removes it (RFC 7692, 7.2.1). */
const TAIL = Buffer.from('0000ffff', 'hex');
const WINDOW = 32_768;

/** Compresses messages, with or without context takeover. */
export class Compressor {
  readonly #bits: number;
  readonly #takeover: boolean;
  #history: Buffer = Buffer.alloc(0);

  /** @param bits - Window bits, 8 to 15. */
  constructor(bits: number, takeover: boolean) {
    this.#bits = bits;
    this.#takeover = takeover;
  }

  /** Compresses one message and removes its tail. */
  compress(bytes: Uint8Array): Buffer {
    const packed = deflateRawSync(bytes, {
      // zlib has no raw stream with 8 window bits. Stored blocks have no matches and fit any
      // window.
      level: this.#bits === 8 ? 0 : 6,
      windowBits: Math.max(9, this.#bits),
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(this.#history.length > 0 && { dictionary: this.#history }),
    });
    this.remember(bytes);
    return packed.subarray(0, -TAIL.length);
  }

  /** Adds an uncompressed message to the history. */
  remember(bytes: Uint8Array): void {
    if (!this.#takeover) return;
    const size = 2 ** this.#bits;
    this.#history = Buffer.concat([this.#history, bytes]).subarray(-size);
  }
}

/** Inflates messages and checks their match distances. */
export class Decompressor {
  readonly #bits: number;
  readonly #takeover: boolean;
  #history: Buffer = Buffer.alloc(0);

  constructor(bits: number, takeover: boolean) {
    this.#bits = bits;
    this.#takeover = takeover;
  }

  /** Inflates one message. @throws HardViolation for invalid data, or a match beyond the window. */
  decompress(payload: Uint8Array): Inflated {
    const inflated = inflate(Buffer.concat([payload, TAIL]), this.#history);
    const window = 2 ** this.#bits;
    if (inflated.farthest > window) {
      throw new HardViolation(
        `the message refers ${inflated.farthest} bytes back, beyond the negotiated window of ${window} (RFC 7692, 7.1.2)`,
      );
    }
    if (this.#takeover) {
      this.#history = Buffer.concat([this.#history, inflated.bytes]).subarray(-WINDOW);
    }
    return inflated;
  }
}

/** Creates one stored block of at most 65,535 bytes (RFC 1951, 3.2.4). */
export function storedBlock(bytes: Uint8Array, final = false): Buffer {
  const header = Buffer.alloc(5);
  header[0] = final ? 1 : 0;
  header.writeUInt16LE(bytes.length, 1);
  header.writeUInt16LE(~bytes.length & 0xffff, 3);
  return Buffer.concat([header, bytes]);
}

/** A literal byte, or a match of 3 to 10 bytes. */
export type DeflateToken = number | { readonly length: number; readonly distance: number };

/**
 * Creates one block with fixed codes, padded with the start of an empty stored block (RFC 1951,
 * 3.2.6).
 */
export function fixedBlock(tokens: readonly DeflateToken[], final = false): Buffer {
  const bits = new BitWriter();
  bits.number(final ? 1 : 0, 1);
  bits.number(1, 2);
  for (const token of tokens) {
    if (typeof token === 'number') bits.literal(token);
    else {
      // Lengths 3 to 10 have the codes 257 to 264: seven bits without extra bits.
      bits.code(token.length - 2, 7);
      const [code, base, extra] = distanceCode(token.distance);
      bits.code(code, 5);
      bits.number(token.distance - base, extra);
    }
  }
  bits.code(0, 7);
  if (!final) bits.number(0, 3);
  return bits.bytes();
}

function distanceCode(distance: number): [code: number, base: number, extra: number] {
  let base = 1;
  for (let code = 0; ; code++) {
    const extra = code < 4 ? 0 : (code >> 1) - 1;
    if (distance < base + 2 ** extra) return [code, base, extra];
    base += 2 ** extra;
  }
}

class BitWriter {
  readonly #bits: number[] = [];

  /** Writes a number, lowest bit first. */
  number(value: number, count: number): void {
    for (let at = 0; at < count; at++) this.#bits.push((value >> at) & 1);
  }

  /** Writes a Huffman code, highest bit first. */
  code(value: number, count: number): void {
    for (let at = count - 1; at >= 0; at--) this.#bits.push((value >> at) & 1);
  }

  literal(byte: number): void {
    if (byte < 144) this.code(0x30 + byte, 8);
    else this.code(0x190 + byte - 144, 9);
  }

  bytes(): Buffer {
    const out = Buffer.alloc(Math.ceil(this.#bits.length / 8));
    this.#bits.forEach((bit, at) => {
      out[at >> 3]! |= bit << (at & 7);
    });
    return out;
  }
}
