import { CONTINUATION, type FrameSpec } from '../wire/frame.ts';

/** Splits a message into fragments of these sizes. */
export function fragments(
  opcode: number,
  payload: Uint8Array,
  sizes: readonly number[],
): FrameSpec[] {
  let at = 0;
  return sizes.map((size, index) => ({
    opcode: index === 0 ? opcode : CONTINUATION,
    payload: payload.subarray(at, (at += size)),
    fin: index === sizes.length - 1,
  }));
}

/** Splits a length into sizes of at most `size`. */
export function sizesOf(length: number, size: number): number[] {
  const sizes: number[] = [];
  for (let at = 0; at < length; at += size) sizes.push(Math.min(size, length - at));
  return sizes.length === 0 ? [0] : sizes;
}
