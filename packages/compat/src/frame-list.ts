import { encodeFrame, MaskKeys } from '@ws/codec';
import { LARGEST_SLAB, lengthOf } from '@ws/codec/internal';
import { bufferOver, bytesOf } from './bytes.ts';
import { RSV1 } from './errors.ts';
import { platform } from './platform.ts';

/** Options of {@link Sender.frame}. */
export interface FrameOptions {
  /** 0 to 15. */
  opcode: number;
  /** Whether the message ends with this frame. Default: false. */
  fin?: boolean | undefined;
  rsv1?: boolean | undefined;
  mask?: boolean | undefined;
  /** Fills its argument, four bytes, with the masking key. */
  generateMask?: ((key: Buffer) => void) | undefined;
  /** The argument of `generateMask`. Default: a new buffer for each frame. */
  maskBuffer?: Buffer | undefined;
  /** Whether masked bytes are in one piece with the header. Data is never changed. */
  readOnly?: boolean | undefined;
}

/** A header, and the payload unless it is empty, or both in one. */
export type FrameList = readonly (Uint8Array | string)[];

/** Random keys for masks. */
export const maskKeys: MaskKeys = /* @__PURE__ */ new MaskKeys((words) =>
  platform.randomFill(words),
);
/** The lists that many sockets may send. */
const shareable = new WeakSet<FrameList>();

/** Builds a frame with a copy of `data`. */
export function frameList(
  data: Uint8Array | string,
  { opcode, fin, rsv1, mask, generateMask, maskBuffer, readOnly }: FrameOptions,
): (Uint8Array | string)[] {
  const payload = bytesOf(data);
  const maskKey = mask ? keyOf(generateMask, maskBuffer) : undefined;
  const rsv = rsv1 ? RSV1 : 0;
  const frame = encodeFrame(opcode, payload, { fin: Boolean(fin), rsv, maskKey });
  // As ws does, which leaves a payload as it is when the key has no bits.
  const isMerged = maskKey && readOnly && typeof data !== 'string';
  const length = lengthOf(payload);
  if (length === 0 || isMerged) return [bufferOver(frame, 0, frame.length)];
  const start = frame.length - length;
  const list = [bufferOver(frame, 0, start), bufferOver(frame, start, frame.length)];
  if (!mask && fin && length <= LARGEST_SLAB) shareable.add(list);
  return list;
}

/** Whether many sockets may send this list in one turn: it is one of {@link frameList}. */
export function isShareable(list: FrameList): boolean {
  return shareable.has(list);
}

/** The next masking key. */
function keyOf(
  generateMask: ((key: Buffer) => void) | undefined,
  key: Buffer = Buffer.alloc(4),
): number {
  if (!generateMask) return maskKeys.next();
  generateMask(key);
  return key.readInt32BE(0);
}
