// Sixteen bytes are 21 characters and two more bits, so the last character before the padding is
// one of four. Any other has stray bits. A lax decoder drops them, and then two texts are the same
// key.
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;

/**
 * Whether `value` is a `Sec-WebSocket-Key`: 16 bytes in canonical base64, 24 characters.
 *
 * @see RFC 6455, section 4.2.1
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
