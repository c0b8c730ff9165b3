import { writeText } from '../text/short-text.ts';
import { sha1 } from './sha1.ts';

/** RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/**
 * Computes `Sec-WebSocket-Accept` for the `Sec-WebSocket-Key` of a request: a server sends it, a
 * client compares it. Synchronous, without the platform's cryptography. The packages for Node use `node:crypto`,
 * which is faster: see `acceptKeyByCrypto` of node-io.
 *
 * @param key - As sent. A server checks it with {@link isWebSocketKey} first.
 * @returns 28 characters of base64.
 * @throws TypeError when `key` is not a string.
 * @see RFC 6455, section 4.2.2, step 5
 *
 * @example
 * ```ts
 * import { acceptKey } from '@ws/codec';
 *
 * console.log(acceptKey('dGhlIHNhbXBsZSBub25jZQ==')); // s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
 * ```
 */
export function acceptKey(key: string): string {
  if (typeof key !== 'string') throw new TypeError(`key must be a string, not ${typeof key}`);
  const text = key + GUID;
  const buffer = new Uint8Array(3 * text.length);
  return base64(sha1(buffer.subarray(0, writeText(buffer, 0, text))));
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const three = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let shift = 18; shift >= 0; shift -= 6) text += BASE64[(three >> shift) & 63];
  }
  const missing = (3 - (bytes.length % 3)) % 3;
  return text.slice(0, text.length - missing) + '='.repeat(missing);
}
