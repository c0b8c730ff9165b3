// Sixteen bytes are 21 characters and two bits more, so the last character before the padding is one of four: any
// other has stray bits, which a lax decoder drops, and then two texts name one key.
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;

/**
 * Says whether `value` is a `Sec-WebSocket-Key`: 16 bytes in canonical base64, so 24 characters.
 *
 * @see RFC 6455, section 4.2.1
 */
export function isWebSocketKey(value: string): boolean {
  return KEY.test(value);
}
