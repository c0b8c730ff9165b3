import type { Role } from '@ws/codec';

// A reference decoder of RFC 6455, section 5. It shares nothing with `@ws/codec` and is written for being obviously
// right: it reads a frame from its first byte again with every chunk, and its lengths are BigInt.

/** A complete frame, its payload unmasked. */
export interface NaiveFrame {
  readonly opcode: number;
  readonly fin: boolean;
  /** RSV bits as on the wire: 0x40, 0x20, 0x10. */
  readonly rsv: number;
  readonly payload: Uint8Array;
  /** Size on the wire in bytes, header and payload. */
  readonly size: number;
}

/** The failure of a stream: the close code and every fault found. */
export interface NaiveFailure {
  readonly closeCode: number;
  readonly faults: readonly string[];
}

export interface NaiveOptions {
  /** RSV bits that an extension uses. Default 0. */
  readonly allowedRsv?: number;
  /** Largest payload of a data frame, in bytes. Default: no limit. */
  readonly maxFramePayload?: number;
}

/** Decodes a stream that arrives in chunks of any size. The slow twin of `FrameDecoder`. */
export class NaiveDecoder {
  /** Complete frames so far, including those before a failure. */
  readonly frames: NaiveFrame[] = [];
  /** Set by the deciding byte. The decoder reads nothing after it. */
  failure: NaiveFailure | undefined;
  readonly #role: Role;
  readonly #allowedRsv: number;
  readonly #maxFramePayload: number;
  #open = false;
  /** Chunks from the first byte of the first incomplete frame. */
  #chunks: Uint8Array[] = [];
  #held = 0;
  /** Bytes after which the incomplete frame can be judged again. */
  #needed = 0;

  /** @param role - Role of the end that reads: a server takes masked frames only, a client unmasked ones only. */
  constructor(role: Role, options: NaiveOptions = {}) {
    this.#role = role;
    this.#allowedRsv = options.allowedRsv ?? 0;
    this.#maxFramePayload = options.maxFramePayload ?? Number.POSITIVE_INFINITY;
  }

  /** Bytes of the incomplete frame. */
  get held(): number {
    return this.#held;
  }

  /** Takes a chunk of the stream and copies it. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(new Uint8Array(chunk));
    this.#held += chunk.length;
    while (this.failure === undefined && this.#held >= this.#needed) {
      const bytes = concat(this.#chunks);
      const read = readFrame(
        bytes,
        this.#role,
        this.#open,
        this.#allowedRsv,
        this.#maxFramePayload,
      );
      this.#chunks = [bytes];
      if (typeof read === 'number') this.#needed = read;
      else if ('faults' in read) this.failure = read;
      else {
        this.frames.push(read);
        if (read.opcode < 8) this.#open = !read.fin;
        this.#chunks = [bytes.subarray(read.size)];
        this.#held -= read.size;
        this.#needed = 0;
      }
    }
  }
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  return chunks.length === 1 ? chunks[0]! : new Uint8Array(Buffer.concat(chunks));
}

/** Decodes a complete stream. */
export function naiveDecode(bytes: Uint8Array, role: Role, options?: NaiveOptions): NaiveDecoder {
  const decoder = new NaiveDecoder(role, options);
  decoder.push(bytes);
  return decoder;
}

/** The first frame in `bytes`, or how many bytes it takes to judge it again. */
function readFrame(
  bytes: Uint8Array,
  role: Role,
  open: boolean,
  allowedRsv: number,
  maxFramePayload: number,
): NaiveFrame | NaiveFailure | number {
  const [b0, b1] = bytes;
  if (b0 === undefined || b1 === undefined) return 2;
  const fin = b0 >= 128;
  const rsv = b0 & 0b0111_0000;
  const opcode = b0 % 16;
  const masked = b1 >= 128;
  const short = b1 % 128;

  const faults: string[] = [];
  const startsMessage = opcode === 1 || opcode === 2;
  // RFC 7692, section 6: RSV1 marks a message, so no continuation and no control frame carries it.
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
    if (byte === undefined) return bytes.length + 1;
    length = length * 256n + BigInt(byte);
    // Later bytes add low bits only, so the first byte that makes the length invalid decides.
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
  if (BigInt(bytes.length) < endAt) return Number(endAt);
  const payload = bytes.slice(payloadAt, Number(endAt));
  if (masked) for (let i = 0; i < payload.length; i++) payload[i]! ^= bytes[keyAt + (i % 4)]!;
  return { opcode, fin, rsv, payload, size: Number(endAt) };
}
