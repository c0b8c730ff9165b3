import type { ByteQueue } from './bytes.ts';

/** RFC 6455, section 11.8. */
export const CONTINUATION = 0x0;
export const TEXT = 0x1;
export const BINARY = 0x2;
export const CLOSE = 0x8;
export const PING = 0x9;
export const PONG = 0xa;

/** Bits of `rsv`, as they stand in the header. */
export const RSV1 = 4;
export const RSV2 = 2;
export const RSV3 = 1;

/** A frame to be written; nothing about it has to be right. */
export interface FrameSpec {
  readonly opcode: number;
  /** Default empty. Before the mask. */
  readonly payload?: Uint8Array;
  /** Default true. */
  readonly fin?: boolean;
  /** RSV1, RSV2, RSV3, or a sum of them. Default 0. */
  readonly rsv?: number;
  /** Four bytes, or false for none. Default: what the writer's role asks for. */
  readonly mask?: Uint8Array | false;
  /** Bits of the length field. Default: the smallest that holds the length. */
  readonly lengthBits?: 7 | 16 | 64;
  /** What the header claims. Default: the payload's length. */
  readonly claims?: number | bigint;
}

/** The bytes of a frame. */
export function frameBytes(spec: FrameSpec & { readonly mask: Uint8Array | false }): Buffer {
  const payload = spec.payload ?? new Uint8Array(0);
  const claims = BigInt(spec.claims ?? payload.length);
  const bits = spec.lengthBits ?? (claims < 126n ? 7 : claims < 65_536n ? 16 : 64);
  const header = Buffer.alloc(2 + (bits === 7 ? 0 : bits / 8));
  header[0] = ((spec.fin ?? true) ? 0x80 : 0) | ((spec.rsv ?? 0) << 4) | spec.opcode;
  const masked = spec.mask === false ? 0 : 0x80;
  if (bits === 7) header[1] = masked | Number(claims);
  else if (bits === 16) {
    header[1] = masked | 126;
    header.writeUInt16BE(Number(claims), 2);
  } else {
    header[1] = masked | 127;
    header.writeBigUInt64BE(claims, 2);
  }
  if (spec.mask === false) return Buffer.concat([header, payload]);
  return Buffer.concat([header, spec.mask, xor(payload, spec.mask)]);
}

function xor(bytes: Uint8Array, key: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(bytes.length);
  for (let at = 0; at < bytes.length; at++) out[at] = bytes[at]! ^ key[at & 3]!;
  return out;
}

/** A frame that was read, unmasked. */
export interface Frame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  /** The key, when there was one. */
  readonly mask: Buffer | undefined;
  readonly lengthBits: 7 | 16 | 64;
  readonly payload: Buffer;
  /** Of header and payload. */
  readonly size: number;
}

/** Takes the next whole frame; undefined when it is not there yet. Judges nothing. */
export function takeFrame(queue: ByteQueue): Frame | undefined {
  const head = queue.peek(14);
  if (head.length < 2) return undefined;
  const short = head[1]! & 0x7f;
  const lengthBits = short < 126 ? 7 : short === 126 ? 16 : 64;
  const masked = (head[1]! & 0x80) !== 0;
  const keyAt = 2 + (lengthBits === 7 ? 0 : lengthBits / 8);
  const start = keyAt + (masked ? 4 : 0);
  if (head.length < start) return undefined;
  const length =
    lengthBits === 7
      ? short
      : lengthBits === 16
        ? head.readUInt16BE(2)
        : Number(head.readBigUInt64BE(2));
  if (queue.length < start + length) return undefined;
  const bytes = queue.take(start + length);
  const mask = masked ? bytes.subarray(keyAt, start) : undefined;
  const payload = bytes.subarray(start);
  return {
    fin: (bytes[0]! & 0x80) !== 0,
    rsv: (bytes[0]! >> 4) & 7,
    opcode: bytes[0]! & 0x0f,
    mask,
    lengthBits,
    payload: mask === undefined ? payload : xor(payload, mask),
    size: bytes.length,
  };
}

const NAMES: Readonly<Record<number, string>> = {
  [CONTINUATION]: 'continuation',
  [TEXT]: 'text',
  [BINARY]: 'binary',
  [CLOSE]: 'close',
  [PING]: 'ping',
  [PONG]: 'pong',
};

/** `text`, `ping`, `opcode 0xb`. */
export function opcodeName(opcode: number): string {
  return NAMES[opcode] ?? `opcode 0x${opcode.toString(16)}`;
}

/** A frame in words: `text frame, not final, RSV1, 5 bytes`. */
export function frameWords(frame: {
  readonly opcode: number;
  readonly fin: boolean;
  readonly rsv: number;
  readonly size: number;
}): string {
  const rsv = [RSV1, RSV2, RSV3].flatMap((bit, at) =>
    (frame.rsv & bit) === 0 ? [] : `RSV${at + 1}`,
  );
  return [
    `${opcodeName(frame.opcode)} frame`,
    ...(frame.fin ? [] : ['not final']),
    ...rsv,
    bytesWords(frame.size),
  ].join(', ');
}

/** `1 byte`, `5 bytes`. */
export function bytesWords(size: number | bigint): string {
  return `${size} ${size === 1 || size === 1n ? 'byte' : 'bytes'}`;
}
