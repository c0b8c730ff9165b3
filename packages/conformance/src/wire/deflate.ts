import { constants, deflateRawSync } from 'node:zlib';
import { Violation } from '../model/verdicts.ts';
import { type Inflated, inflate } from './inflate.ts';

/** What both ends agreed on for permessage-deflate (RFC 7692, 7.1). */
export interface DeflateTerms {
  readonly serverNoContextTakeover: boolean;
  readonly clientNoContextTakeover: boolean;
  readonly serverMaxWindowBits: number;
  readonly clientMaxWindowBits: number;
}

/** What a message ends with before it is sent, and what is not sent (RFC 7692, 7.2.1). */
const TAIL = Buffer.from('0000ffff', 'hex');
const WINDOW = 32_768;

/** Compresses messages, with or without what went before. */
export class Compressor {
  readonly #bits: number;
  readonly #takeover: boolean;
  #history: Buffer = Buffer.alloc(0);

  /** @param bits - 8 to 15. */
  constructor(bits: number, takeover: boolean) {
    this.#bits = bits;
    this.#takeover = takeover;
  }

  /** The payload of one message, without the tail that is not sent. */
  compress(bytes: Uint8Array): Buffer {
    const packed = deflateRawSync(bytes, {
      // zlib has no raw stream of 8 bits, and what is stored reaches back nowhere.
      level: this.#bits === 8 ? 0 : 6,
      windowBits: Math.max(9, this.#bits),
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(this.#history.length > 0 && { dictionary: this.#history }),
    });
    this.remember(bytes);
    return packed.subarray(0, -TAIL.length);
  }

  /** Takes a message into the history that was compressed by other means. */
  remember(bytes: Uint8Array): void {
    if (!this.#takeover) return;
    const size = 2 ** this.#bits;
    this.#history = Buffer.concat([this.#history, bytes]).subarray(-size);
  }
}

/** Inflates messages and judges them. */
export class Decompressor {
  readonly #bits: number;
  readonly #takeover: boolean;
  #history: Buffer = Buffer.alloc(0);

  constructor(bits: number, takeover: boolean) {
    this.#bits = bits;
    this.#takeover = takeover;
  }

  /** @throws Violation when it is no DEFLATE data, or reaches back too far. */
  decompress(payload: Uint8Array): Inflated {
    const inflated = inflate(Buffer.concat([payload, TAIL]), this.#history);
    const window = 2 ** this.#bits;
    if (inflated.farthest > window) {
      throw new Violation(
        `the message reaches ${inflated.farthest} bytes back, but a window of ${window} was agreed on (RFC 7692, 7.1.2)`,
      );
    }
    if (this.#takeover) {
      this.#history = Buffer.concat([this.#history, inflated.bytes]).subarray(-WINDOW);
    }
    return inflated;
  }
}

/** One stored block, at most 65,535 bytes (RFC 1951, 3.2.4). */
export function storedBlock(bytes: Uint8Array, final = false): Buffer {
  const header = Buffer.alloc(5);
  header[0] = final ? 1 : 0;
  header.writeUInt16LE(bytes.length, 1);
  header.writeUInt16LE(~bytes.length & 0xffff, 3);
  return Buffer.concat([header, bytes]);
}

/** A literal byte, or a match of 3 to 10 bytes. */
export type DeflateToken = number | { readonly length: number; readonly distance: number };

/** One block of the fixed code, padded to a byte with what starts an empty stored block (RFC 1951, 3.2.6). */
export function fixedBlock(tokens: readonly DeflateToken[], final = false): Buffer {
  const bits = new BitWriter();
  bits.plain(final ? 1 : 0, 1);
  bits.plain(1, 2);
  for (const token of tokens) {
    if (typeof token === 'number') bits.literal(token);
    else {
      // Lengths 3 to 10 are the codes 257 to 264, seven bits and none extra.
      bits.code(token.length - 2, 7);
      const [code, base, extra] = distanceCode(token.distance);
      bits.code(code, 5);
      bits.plain(token.distance - base, extra);
    }
  }
  bits.code(0, 7);
  if (!final) bits.plain(0, 3);
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

  /** A number, its lowest bit first. */
  plain(value: number, count: number): void {
    for (let at = 0; at < count; at++) this.#bits.push((value >> at) & 1);
  }

  /** A Huffman code, its highest bit first. */
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
