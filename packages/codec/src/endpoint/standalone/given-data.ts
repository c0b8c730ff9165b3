// What an application gives to an `Endpoint`, as bytes.
import { kind } from '../../arguments.ts';
import { bytesOfView } from '../../byte-facts.ts';
import { formatCloseMessage } from '../../close/close-payload.ts';
import { MAX_CONTROL_PAYLOAD } from '../../protocol.ts';
import { toUtf8, utf8Length } from '../../text/utf8-automaton.ts';

/** @throws TypeError, RangeError for a code or reason that cannot be sent. */
export function closePayload(code: number, reason: string): Uint8Array {
  const payload = formatCloseMessage(code, reason);
  if (payload.length > 0) return payload;
  throw new RangeError(`websocket: close code ${code} must not be sent; close() sends 1000`);
}

/**
 * Returns a view of the bytes of `data`, without a copy.
 *
 * @throws TypeError for other data, and for bytes of a buffer that is detached or has shrunk.
 */
export function bytesOf(data: unknown): Uint8Array {
  if (ArrayBuffer.isView(data)) return bytesOfView(data);
  const tag = kind(data);
  if (tag === 'ArrayBuffer' || tag === 'SharedArrayBuffer') {
    return new Uint8Array(data as ArrayBufferLike);
  }
  const hint = tag === 'Object' || tag === 'Array' ? '; JSON.stringify makes a string of it' : '';
  throw new TypeError(`data: expected a string or bytes, got ${tag}${hint}`);
}

/**
 * Returns the payload of a control frame.
 *
 * @throws TypeError as {@link bytesOf} does, RangeError for more than 125 bytes (RFC 6455, section
 *   5.5).
 */
export function controlPayload(data: unknown): Uint8Array {
  const size = typeof data === 'string' ? utf8Length(data) : bytesOf(data).length;
  if (size > MAX_CONTROL_PAYLOAD) {
    throw new RangeError(`data: expected at most ${MAX_CONTROL_PAYLOAD} bytes, got ${size}`);
  }
  return typeof data === 'string' ? toUtf8(data) : bytesOf(data);
}
