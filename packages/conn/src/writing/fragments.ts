import { ContinuationFrame, encodeFrame } from '@ws/codec';
import { viewOf } from '@ws/codec/internal';

/**
 * The bits of the first byte of a frame (RFC 6455, section 5.2). The codec defines FIN too, but an export
 * would cost speed: see its `internal.ts`.
 */
export const FIN = 0x80;
export const RSV = 0x70;
const OPCODE = 0x0f;

/**
 * Encodes `payload` in frames of at most `most` bytes of payload each (RFC 6455, section 5.4). The RSV bits
 * are those of the first frame (RFC 7692, section 6.1).
 *
 * @param b0 - The first byte of a single frame with the whole payload.
 * @param nextKey - Returns a masking key, on a client.
 */
export function encodeFragments(
  b0: number,
  payload: Uint8Array,
  most: number,
  nextKey: (() => number) | undefined,
): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const { length } = payload;
  for (let at = 0; at < length; at += most) {
    const end = Math.min(at + most, length);
    const isFirst = at === 0;
    const frame = encodeFrame(isFirst ? b0 & OPCODE : ContinuationFrame, viewOf(payload, at, end), {
      fin: end === length && b0 >= FIN,
      rsv: isFirst ? b0 & RSV : 0,
      maskKey: nextKey?.(),
    });
    frames.push(frame);
  }
  return frames;
}
