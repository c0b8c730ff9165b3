import { isUtf8 } from 'node:buffer';
import { arrayBufferOf } from './bytes.ts';

/** The type of binary messages. */
export type BinaryType = 'nodebuffer' | 'arraybuffer' | 'fragments' | 'blob';
/** A received message. */
export type RawData = Buffer | ArrayBuffer | Buffer[] | Blob;

/** Bytes. Up to this size, a loop finds that a text is ASCII faster than a call. */
const SHORT_TEXT = 24;

/**
 * A binary message as the application gets it.
 *
 * @param frameEnds - The ends of its frames in `bytes`. The last one may be missing.
 */
export function converted(
  bytes: Buffer,
  type: BinaryType,
  frameEnds: readonly number[] = [],
): RawData {
  if (type === 'nodebuffer') return bytes;
  if (type === 'arraybuffer') return arrayBufferOf(bytes);
  if (type === 'blob') return new Blob([bytes]);
  // Also for a type that `new Receiver()` does not know.
  const ends = [...frameEnds, bytes.length];
  const frames = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
  return frames.filter((frame) => frame.length > 0);
}

export function isValidText(bytes: Buffer): boolean {
  if (bytes.length > SHORT_TEXT) return isUtf8(bytes);
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! > 0x7f) return isUtf8(bytes);
  return true;
}
