import { FrameHeader, MaskKeys, unmask } from '@ws/codec';
import { LARGEST_SLAB } from '@ws/codec/internal';
import { bytesOf, copyOf } from './bytes.ts';
import { RSV1 } from './decoder-pool.ts';
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

/** Bytes of the largest header. */
const LARGEST_HEADER = 14;
const header = /* @__PURE__ */ new FrameHeader();
const maskKeys = /* @__PURE__ */ new MaskKeys((words) => platform.randomFill(words));
/** The lists that many sockets may send. */
const shareable = new WeakSet<FrameList>();

/** Builds a frame. */
export function frameList(
  data: Uint8Array | string,
  { opcode, fin, rsv1, mask, generateMask, maskBuffer, readOnly }: FrameOptions,
): (Uint8Array | string)[] {
  const bytes = bytesOf(data);
  header.fin = Boolean(fin);
  header.rsv = rsv1 ? RSV1 : 0;
  header.opcode = opcode;
  header.length = bytes.length;
  header.masked = Boolean(mask);
  header.maskKey = mask ? keyOf(generateMask, maskBuffer) : 0;
  const head = Buffer.allocUnsafe(LARGEST_HEADER);
  const list: Buffer[] = [head.subarray(0, header.write(head))];
  if (bytes.length === 0) return list;
  list.push(mask ? masked(bytes, header.maskKey) : alias(bytes));
  // As ws does, which leaves a payload as it is when the key has no bits.
  const isMasked = header.maskKey !== 0;
  if (isMasked && readOnly && typeof data !== 'string') return [Buffer.concat(list)];
  if (!mask && header.fin && bytes.length <= LARGEST_SLAB) shareable.add(list);
  return list;
}

/** Whether many sockets may send this list in one turn: it is one of {@link frameList}. */
export function isShareable(list: FrameList): boolean {
  return shareable.has(list);
}

/** The bytes under another name, which identifies the frame. */
function alias(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function masked(bytes: Uint8Array, key: number): Buffer {
  const copy = copyOf(bytes, 0, bytes.length);
  unmask(copy, 0, copy.length, key);
  return copy;
}

/** The next masking key. */
export function keyOf(
  generateMask: ((key: Buffer) => void) | undefined,
  key: Buffer = Buffer.alloc(4),
): number {
  if (!generateMask) return maskKeys.next();
  generateMask(key);
  return key.readInt32BE(0);
}
