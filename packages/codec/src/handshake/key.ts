// Sixteen bytes are 21 characters and two more bits. The other bits of the last character have no
// meaning: the key that RFC 6455, section 4.1 prints has some. The accept value counts the characters
// as sent, so a key of other spare bits has another value.
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/**
 * Whether `value` is a `Sec-WebSocket-Key`: 24 characters of base64 that decode to 16 bytes.
 *
 * @see RFC 6455, sections 4.1 and 4.2.1
 *
 * @example
 * ```ts
 * import { isWebSocketKey } from '@ws/codec';
 *
 * console.log(isWebSocketKey('dGhlIHNhbXBsZSBub25jZQ=='), isWebSocketKey('short')); // true false
 * ```
 */
export function isWebSocketKey(value: string): boolean {
  return KEY.test(value);
}
