import type { ByteQueue } from './bytes.ts';

// Opcodes (RFC 6455, section 11.8).
/** Opcode of a frame that continues a message. */
export const CONTINUATION = 0x0;
/** Opcode of the first frame of a text message. */
export const TEXT = 0x1;
/** Opcode of the first frame of a binary message. */
export const BINARY = 0x2;
/** Opcode of a close frame. */
export const CLOSE = 0x8;
/** Opcode of a ping. */
export const PING = 0x9;
/** Opcode of a pong. */
export const PONG = 0xa;

// Bits of `rsv`, in the order of the header.
/** First reserved bit: permessage-deflate sets it on compressed messages. */
export const RSV1 = 4;
/** Second reserved bit. */
export const RSV2 = 2;
/** Third reserved bit. */
export const RSV3 = 1;

/** A frame to send. It may be invalid in any way. */
export interface FrameSpec {
  readonly opcode: number;
  /** Payload before masking. Default: empty. */
  readonly payload?: Uint8Array;
  /** Default: true. */
  readonly fin?: boolean;
  /** RSV1, RSV2, RSV3, or a sum of them. Default: 0. */
  readonly rsv?: number;
  /** Masking key of four bytes, or false for none. Default: as the sender's role requires. */
  readonly mask?: Uint8Array | false;
  /** Size of the length field in bits. Default: the smallest that fits. */
  readonly lengthBits?: 7 | 16 | 64;
  /** Payload length in the header. Default: the actual length. */
  readonly claims?: number | bigint;
}

/** Serializes a frame. */
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

/** A received frame, unmasked. */
export interface Frame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  /** Masking key, if any. */
  readonly mask: Buffer | undefined;
  readonly lengthBits: 7 | 16 | 64;
  readonly payload: Buffer;
  /** Size of header and payload in bytes. */
  readonly size: number;
}

/** Removes the next frame from the queue, without checking it; undefined when it is incomplete. */
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

const OPCODE_NAMES: Readonly<Record<number, string>> = {
  [CONTINUATION]: 'continuation',
  [TEXT]: 'text',
  [BINARY]: 'binary',
  [CLOSE]: 'close',
  [PING]: 'ping',
  [PONG]: 'pong',
};

/** Returns the name of an opcode: `text`, `ping`, `opcode 0xb`. */
export function opcodeName(opcode: number): string {
  return OPCODE_NAMES[opcode] ?? `opcode 0x${opcode.toString(16)}`;
}

/** Describes a frame: `text frame, not final, RSV1, 5 bytes`. */
export function frameText(frame: {
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
    bytesText(frame.size),
  ].join(', ');
}

/** Formats a number of bytes: `1 byte`, `5 bytes`. */
export function bytesText(size: number | bigint): string {
  return `${size} ${size === 1 || size === 1n ? 'byte' : 'bytes'}`;
}
