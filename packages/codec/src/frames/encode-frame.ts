import { isBytes, lengthOf } from '../byte-facts.ts';
import { unmask } from '../masking/mask.ts';
import type { OwnedBytes } from '../memory/slab.ts';
import { checkFrameFields, checkMaskKey, headerSize, writeHeader, writeMaskKey } from './header.ts';
import { FIN, MASK } from './rules.ts';

/** Options of {@link encodeFrame}. */
export interface EncodeFrameOptions {
  /** Whether this is the last frame of its message. Default true. */
  fin?: boolean;
  /** Reserved bits, as wire bits: `0x40` RSV1, `0x20` RSV2, `0x10` RSV3. Default 0. */
  rsv?: number;
  /** Masks the payload with this 32-bit key, big-endian. Default: the frame is not masked. */
  maskKey?: number | undefined;
}

/**
 * Returns one complete frame in new memory. For tests, tools, and frames for many receivers.
 *
 * It also writes frames that no endpoint may send: it does not apply the rules of RFC 6455.
 *
 * @param opcode - 0 to 15.
 * @param payload - Copied, not changed.
 * @returns Header and payload. Owned by the caller.
 * @throws TypeError when `payload` is not a Uint8Array or `maskKey` not a number, RangeError for an
 *   invalid `opcode` or `rsv`, or a `maskKey` that is not a 32-bit integer.
 * @see RFC 6455, section 5.2
 *
 * @example
 * ```ts
 * import { encodeFrame, TextMessage } from '@ws/codec';
 *
 * const hi = Uint8Array.of(0x68, 0x69);
 * console.log(encodeFrame(TextMessage, hi)); // Uint8Array(4) [ 129, 2, 104, 105 ]
 * console.log(encodeFrame(TextMessage, hi, { maskKey: 0x37fa213d }).length); // 8
 * ```
 */
export function encodeFrame(
  opcode: number,
  payload: Uint8Array,
  options: EncodeFrameOptions = {},
): OwnedBytes {
  const { fin = true, rsv = 0, maskKey } = options;
  if (!isBytes(payload)) throw new TypeError('payload must be a Uint8Array');
  checkFrameFields(opcode, rsv);
  const masked = maskKey !== undefined;
  if (masked) checkMaskKey(maskKey);
  const length = lengthOf(payload);
  const start = headerSize(length) + (masked ? 4 : 0);
  const frame = new Uint8Array(start + length);
  const b0 = (fin ? FIN : 0) | rsv | opcode;
  const at = writeHeader(frame, 0, b0, masked ? MASK : 0, length);
  frame.set(payload, start);
  if (!masked) return frame;
  writeMaskKey(frame, at, maskKey);
  unmask(frame, start, frame.length, maskKey);
  return frame;
}
