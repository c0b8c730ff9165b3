import { types } from 'node:util';
import { bytesOfView, isBytes, lengthOf, viewOf } from '@ws/codec/internal';

/** The class of Node's Buffers, with the constructor of `Uint8Array`. */
const NodeBuffer = (Buffer as unknown as { [Symbol.species]: unknown })[Symbol.species] as new (
  memory: ArrayBufferLike,
  offset: number,
  length: number,
) => Buffer;

/** No bytes. It stays in this package: an application could transfer its memory. */
export const EMPTY: Buffer = /* @__PURE__ */ Buffer.alloc(0);

/** No bytes, for the application. */
export function emptyBuffer(): Buffer {
  return Buffer.alloc(0);
}

/** Returns a Buffer over `bytes[start, end)`, without a copy. */
export function bufferOver(bytes: Uint8Array, start: number, end: number): Buffer {
  return new NodeBuffer(bytes.buffer, bytes.byteOffset + start, end - start);
}

/** Returns a copy of `bytes[start, end)`. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start);
  copy.set(viewOf(bytes, start, end));
  return copy;
}

/** Joins the parts of a message. One part is returned as it is. */
export function join(parts: readonly Buffer[]): Buffer {
  if (parts.length === 0) return emptyBuffer();
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

/**
 * Returns the bytes of data that an application sends: without a copy, except for text and arrays
 * of numbers. Ask `lengthOf` for their length: a property of the array may have another value.
 *
 * @throws TypeError of `Buffer.from` for other values.
 */
export function bytesOf(data: unknown): Uint8Array {
  if (isBytes(data) && (lengthOf(data) > 0 || Buffer.isBuffer(data))) return data;
  // Also of another realm.
  if (types.isArrayBuffer(data)) return new Uint8Array(data);
  // As in ws, a TypeError for a view of bytes that were transferred.
  if (ArrayBuffer.isView(data)) return bytesOfView(data);
  return Buffer.from(data as string);
}

/** The ArrayBuffer of exactly these bytes: their own one when no other bytes are in it. */
export function arrayBufferOf(bytes: Buffer): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = bytes;
  if (byteLength === buffer.byteLength) return buffer as ArrayBuffer;
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}

/** Whether `value` is a Blob of any realm. */
export function isBlob(value: unknown): value is Blob {
  if (typeof value !== 'object' || value === null) return false;
  const { arrayBuffer, stream, type } = value as Partial<Blob>;
  const tag: unknown = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  return (
    typeof arrayBuffer === 'function' &&
    typeof stream === 'function' &&
    typeof type === 'string' &&
    (tag === 'Blob' || tag === 'File')
  );
}
