import { integer } from '../arguments.ts';
import { checkRange, swap } from '../masking/mask.ts';
import { FIN, lengthFault, MASK, RSV } from './rules.ts';

const TWO_32 = 2 ** 32;

/**
 * One reusable frame header. Its fields hold the last header read, or the next one to write.
 *
 * @see RFC 6455, section 5.2
 *
 * @example
 * ```ts
 * import { FrameHeader } from '@ws/codec';
 *
 * const header = new FrameHeader();
 * console.log(header.read(Uint8Array.of(0x81, 5))); // 2, the bytes of the header
 * console.log(header.fin, header.opcode, header.length); // true 1 5
 * ```
 */
export class FrameHeader {
  /** Whether this is the last frame of its message. */
  fin = false;
  /** Reserved bits, as wire bits: `0x40` RSV1, `0x20` RSV2, `0x10` RSV3. */
  rsv = 0;
  /** 0 to 15. */
  opcode = 0;
  /** Whether the payload is masked and the header contains a key. */
  masked = false;
  /** Payload length in bytes, 0 to 2^53 - 1. */
  length = 0;
  /**
   * Masking key, big-endian, as a signed 32-bit integer: `37 fa 21 3d` is `0x37fa213d`. 0 when not
   * masked.
   */
  maskKey = 0;

  /**
   * Reads one header from `bytes[start, end)`. It checks only the form of the length. The caller
   * checks opcode, reserved bits and size.
   *
   * @returns Size of the header in bytes, 2 to 14, or 0 when the header is incomplete. Nothing is
   *   consumed then and the fields keep their values: call again with more bytes.
   * @throws {@link ProtocolError} for a non-minimal length (1002) or a length of 2^53 and more
   *   (1009), as soon as the bytes show it. TypeError or RangeError when the range is not inside
   *   `bytes`.
   */
  read(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
    checkRange(bytes, start, end);
    if (end - start < 2) return 0;
    const b0 = bytes[start]!;
    const b1 = bytes[start + 1]!;
    const short = b1 & 0x7f;
    const size = short < 126 ? 0 : short === 126 ? 2 : 8;
    if (size !== 0) {
      const bad = lengthFault(bytes, start + 2, Math.min(end, start + 2 + size), size, Infinity);
      if (bad !== undefined) throw bad;
    }
    const masked = (b1 & MASK) !== 0;
    const key = start + 2 + size;
    const after = masked ? key + 4 : key;
    if (end < after) return 0;
    this.fin = (b0 & FIN) !== 0;
    this.rsv = b0 & RSV;
    this.opcode = b0 & 0x0f;
    this.masked = masked;
    const at = start + 2;
    this.length = size === 0 ? short : size === 2 ? length16(bytes, at) : length64(bytes, at);
    // Signed, as XOR results are. V8 then stores the field as a small integer more often.
    this.maskKey = masked ? swap(readKey(bytes, key)) : 0;
    return after - start;
  }

  /**
   * Writes the header to `bytes` at index `at`, with the shortest form of the length.
   *
   * @returns Size of the header in bytes, 2 to 14.
   * @throws TypeError when the key of a masked header is not a number. RangeError when a field is
   *   out of range or the header does not fit.
   */
  write(bytes: Uint8Array, at = 0): number {
    const { fin, rsv, opcode, masked, length, maskKey } = this;
    checkFrameFields(opcode, rsv);
    integer('length', length, 0, Number.MAX_SAFE_INTEGER);
    if (masked) checkMaskKey(maskKey);
    const size = headerSize(length) + (masked ? 4 : 0);
    checkRange(bytes, at, at + size);
    const key = writeHeader(bytes, at, (fin ? FIN : 0) | rsv | opcode, masked ? MASK : 0, length);
    if (masked) writeMaskKey(bytes, key, maskKey);
    return size;
  }
}

/** Size in bytes of an unmasked header for a payload of `length` bytes: 2, 4 or 10. */
export function headerSize(length: number): number {
  return length < 126 ? 2 : length < 65536 ? 4 : 10;
}

/**
 * Writes an unmasked header, or the part of a masked one before its key. Returns the index after
 * it.
 */
export function writeHeader(
  bytes: Uint8Array,
  at: number,
  b0: number,
  maskBit: number,
  length: number,
): number {
  bytes[at] = b0;
  if (length < 126) {
    bytes[at + 1] = maskBit | length;
    return at + 2;
  }
  if (length < 65536) {
    bytes[at + 1] = maskBit | 126;
    bytes[at + 2] = length >>> 8;
    bytes[at + 3] = length;
    return at + 4;
  }
  const high = Math.floor(length / TWO_32);
  const low = length >>> 0;
  bytes[at + 1] = maskBit | 127;
  bytes[at + 2] = 0;
  bytes[at + 3] = high >>> 16;
  bytes[at + 4] = high >>> 8;
  bytes[at + 5] = high;
  bytes[at + 6] = low >>> 24;
  bytes[at + 7] = low >>> 16;
  bytes[at + 8] = low >>> 8;
  bytes[at + 9] = low;
  return at + 10;
}

/** Writes the key, big-endian, after {@link writeHeader}. */
export function writeMaskKey(bytes: Uint8Array, at: number, key: number): void {
  bytes[at] = key >>> 24;
  bytes[at + 1] = key >>> 16;
  bytes[at + 2] = key >>> 8;
  bytes[at + 3] = key;
}

/** The masking key at `at`, little-endian, as the kernels use it. */
export function readKey(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

export function length16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** The 64-bit length at `at`. A double: inexact from 2^53 up. */
export function length64(bytes: Uint8Array, at: number): number {
  const high = (length16(bytes, at) << 16) | length16(bytes, at + 2);
  const low = (length16(bytes, at + 4) << 16) | length16(bytes, at + 6);
  return (high >>> 0) * TWO_32 + (low >>> 0);
}

/** Accepts 32 bits, either signed, as they are read, or unsigned, as they are written in source. */
export function checkMaskKey(key: number): void {
  if (typeof key !== 'number') throw new TypeError('maskKey must be a 32-bit number');
  if ((key | 0) === key || key >>> 0 === key) return;
  throw new RangeError('maskKey must be an integer of 32 bits');
}

/** @throws RangeError unless both values fit their bits of the first header byte. */
export function checkFrameFields(opcode: number, rsv: number): void {
  if ((opcode & 0x0f) !== opcode) throw new RangeError('opcode must be an integer of 0 to 15');
  if ((rsv & RSV) !== rsv) throw new RangeError('rsv must be a sum of 0x40, 0x20 and 0x10');
}
