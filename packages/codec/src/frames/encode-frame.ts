import { FrameHeader } from './header.ts';
import { unmask } from './mask.ts';

/** Options of {@link encodeFrame}. */
export interface EncodeFrameOptions {
  /** Final fragment of its message. Default true. */
  fin?: boolean;
  /** Reserved bits as they stand on the wire: `0x40` RSV1, `0x20` RSV2, `0x10` RSV3. Default 0. */
  rsv?: number;
  /** Masks the payload with this 32-bit key, big-endian. Default: not masked. */
  maskKey?: number | undefined;
}

/**
 * One complete frame in memory of its own, for tests, tools, and frames that are sent to many.
 *
 * It writes what it is told, also frames that no endpoint may send.
 *
 * @param opcode - 0 to 15.
 * @param payload - Copied; not changed.
 * @returns Header and payload. Owned by the caller.
 * @throws TypeError when `payload` is no Uint8Array or `maskKey` no number, RangeError for `opcode`, `rsv` or a
 *   `maskKey` that is no integer of 32 bits.
 * @see RFC 6455, section 5.2
 */
export function encodeFrame(
  opcode: number,
  payload: Uint8Array,
  options: EncodeFrameOptions = {},
): Uint8Array {
  const { fin = true, rsv = 0, maskKey } = options;
  if (!(payload instanceof Uint8Array)) throw new TypeError('payload must be a Uint8Array');
  const header = new FrameHeader();
  header.opcode = opcode;
  header.fin = fin;
  header.rsv = rsv;
  header.length = payload.length;
  header.masked = maskKey !== undefined;
  header.maskKey = maskKey ?? 0;
  const room = new Uint8Array(payload.length + 14);
  const at = header.write(room, 0);
  room.set(payload, at);
  const frame = room.slice(0, at + payload.length);
  if (maskKey !== undefined) unmask(frame, at, frame.length, maskKey);
  return frame;
}
