import type { Role } from '@ws/codec';

// A reference of RFC 6455, section 5, written for being obviously right: a frame is read from its first byte again with
// each chunk until it is whole, lengths are BigInt, and nothing is shared with `@ws/codec`.

/** A whole frame, its payload unmasked. */
export interface NaiveFrame {
  readonly opcode: number;
  readonly fin: boolean;
  /** The three reserved bits where they stand on the wire: 0x40, 0x20, 0x10. */
  readonly rsv: number;
  readonly payload: Uint8Array;
  /** Bytes on the wire, header and payload. */
  readonly size: number;
}

/** Why a stream broke: what the close frame says, and every fault found. */
export interface NaiveFailure {
  readonly closeCode: number;
  readonly faults: readonly string[];
}

export interface NaiveOptions {
  /** Reserved bits that an extension gave a meaning to. Default 0. */
  readonly allowedRsv?: number;
  /** Longest payload of a data frame, in bytes. Default: none. */
  readonly maxFramePayload?: number;
}

/** Reads frames from a stream, given in any pieces. The slow twin of `FrameDecoder`. */
export class NaiveDecoder {
  /** Every whole frame so far, those before a failure included. */
  readonly frames: NaiveFrame[] = [];
  /** Set by the byte that decides; nothing is read after it. */
  failure: NaiveFailure | undefined;
  readonly #role: Role;
  readonly #allowedRsv: number;
  readonly #maxFramePayload: number;
  #open = false;
  /** From the first byte of the first frame that is not whole. */
  #bytes: number[] = [];

  /** @param role - Whose ears these are: a server takes masked frames only, a client unmasked ones only. */
  constructor(role: Role, options: NaiveOptions = {}) {
    this.#role = role;
    this.#allowedRsv = options.allowedRsv ?? 0;
    this.#maxFramePayload = options.maxFramePayload ?? Number.POSITIVE_INFINITY;
  }

  /** Bytes of a frame that is not whole yet. */
  get held(): number {
    return this.#bytes.length;
  }

  /** Takes a piece of the stream; it is copied. */
  push(chunk: Uint8Array): void {
    for (const byte of chunk) this.#bytes.push(byte);
    while (this.failure === undefined) {
      const read = readFrame(
        this.#bytes,
        this.#role,
        this.#open,
        this.#allowedRsv,
        this.#maxFramePayload,
      );
      if (read === undefined) return;
      if ('faults' in read) {
        this.failure = read;
        return;
      }
      this.frames.push(read);
      if (read.opcode < 8) this.#open = !read.fin;
      this.#bytes = this.#bytes.slice(read.size);
    }
  }
}

/** Reads a whole stream at once. */
export function naiveDecode(bytes: Uint8Array, role: Role, options?: NaiveOptions): NaiveDecoder {
  const decoder = new NaiveDecoder(role, options);
  decoder.push(bytes);
  return decoder;
}

/** One frame at the start of `bytes`; undefined when it is not whole and nothing is wrong with it so far. */
function readFrame(
  bytes: readonly number[],
  role: Role,
  open: boolean,
  allowedRsv: number,
  maxFramePayload: number,
): NaiveFrame | NaiveFailure | undefined {
  const [b0, b1] = bytes;
  if (b0 === undefined || b1 === undefined) return undefined;
  const fin = b0 >= 128;
  const rsv = b0 & 0b0111_0000;
  const opcode = b0 % 16;
  const masked = b1 >= 128;
  const short = b1 % 128;

  const faults: string[] = [];
  const startsMessage = opcode === 1 || opcode === 2;
  // RFC 7692, section 6: the bit tells about a message, so it stands on no continuation and on no control frame.
  const mayCompress = allowedRsv & 0x40 && opcode !== 0 && opcode < 8;
  if (rsv & 0x40 && !mayCompress) faults.push('RSV1 set');
  if (rsv & 0x20 && !(allowedRsv & 0x20)) faults.push('RSV2 set');
  if (rsv & 0x10 && !(allowedRsv & 0x10)) faults.push('RSV3 set');
  if (opcode === 8 || opcode === 9 || opcode === 10) {
    if (short > 125) faults.push('len > 125 for control');
    if (!fin) faults.push('FIN not set on control');
  } else if (startsMessage) {
    if (open) faults.push('data before FIN');
  } else if (opcode === 0) {
    if (!open) faults.push('continuation after FIN');
  } else {
    faults.push(`bad opcode ${opcode}`);
  }
  if (masked !== (role === 'server')) faults.push('bad MASK');
  if (faults.length > 0) return { closeCode: 1002, faults };

  const tooLong = { closeCode: 1009, faults: [`frame over the limit of ${maxFramePayload} bytes`] };
  if (opcode < 8 && short < 126 && short > maxFramePayload) return tooLong;
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  let length = lengthBytes === 0 ? BigInt(short) : 0n;
  for (let i = 0; i < lengthBytes; i++) {
    const byte = bytes[2 + i];
    if (byte === undefined) return undefined;
    length = length * 256n + BigInt(byte);
    // What is still to come can only add low bits, so a length is refused by the byte that made it hopeless.
    const unit = 1n << BigInt(8 * (lengthBytes - 1 - i));
    const least = length * unit;
    const most = least + unit - 1n;
    if (least >= 1n << 63n) return { closeCode: 1002, faults: ['length with top bit set'] };
    if (least >= 1n << 53n) return { closeCode: 1009, faults: ['length of 2^53 or more'] };
    if (most < (lengthBytes === 2 ? 126n : 65_536n)) {
      return { closeCode: 1002, faults: ['non-minimal length'] };
    }
    if (Number(least) > maxFramePayload) return tooLong;
  }

  const keyAt = 2 + lengthBytes;
  const payloadAt = keyAt + (masked ? 4 : 0);
  const endAt = BigInt(payloadAt) + length;
  if (BigInt(bytes.length) < endAt) return undefined;
  const payload = Uint8Array.from(bytes.slice(payloadAt, Number(endAt)));
  if (masked) for (let i = 0; i < payload.length; i++) payload[i]! ^= bytes[keyAt + (i % 4)]!;
  return { opcode, fin, rsv, payload, size: Number(endAt) };
}
