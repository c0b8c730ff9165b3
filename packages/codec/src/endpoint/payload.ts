import { fromCaller } from '../from-caller.ts';
import { MAX_CONTROL_PAYLOAD } from '../limits.ts';
import { kind } from '../options.ts';
import { utf8Length, writeUtf8 } from '../text/utf8-automaton.ts';

/** Data that an endpoint sends: a string is text, an ArrayBuffer or any view is binary. */
export type EndpointData = string | ArrayBufferLike | ArrayBufferView;

/**
 * Returns a view of the bytes of `data`, without a copy.
 *
 * @param endpoint - Its method `method` got the data.
 * @throws TypeError for other data, and for bytes whose buffer is detached or has shrunk.
 */
export function bytesOf(data: unknown, endpoint: object, method: string): Uint8Array {
  if (ArrayBuffer.isView(data)) {
    // Without its memory a typed array looks empty, and only its methods throw.
    if (data.byteLength === 0) (data as Partial<Uint8Array>).indexOf?.(0);
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  const tag = kind(data);
  if (tag === 'ArrayBuffer' || tag === 'SharedArrayBuffer') {
    return new Uint8Array(data as ArrayBufferLike);
  }
  const hint = tag === 'Object' || tag === 'Array' ? '; JSON.stringify makes a string of it' : '';
  const error = new TypeError(`data: expected a string or bytes, got ${tag}${hint}`);
  fromCaller(error, endpoint, method);
  throw error;
}

/**
 * Returns the payload of a control frame.
 *
 * @throws TypeError as {@link bytesOf} does, RangeError for more than 125 bytes (RFC 6455, section
 *   5.5).
 */
export function controlPayload(data: unknown, endpoint: object, method: string): Uint8Array {
  const size = typeof data === 'string' ? utf8Length(data) : bytesOf(data, endpoint, method).length;
  if (size > MAX_CONTROL_PAYLOAD) {
    const error = new RangeError(
      `data: expected at most ${MAX_CONTROL_PAYLOAD} bytes, got ${size}`,
    );
    fromCaller(error, endpoint, method);
    throw error;
  }
  if (typeof data !== 'string') return bytesOf(data, endpoint, method);
  const bytes = new Uint8Array(size);
  writeUtf8(bytes, 0, data);
  return bytes;
}
