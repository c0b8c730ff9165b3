import crypto from 'node:crypto';

/** RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * Computes `Sec-WebSocket-Accept` for the `Sec-WebSocket-Key` of a request.
 *
 * @see RFC 6455, section 4.2.2, step 5
 */
export function acceptKeyByCrypto(key: string): string {
  const text = key + GUID;
  // Node has `hash` since 20.12; another runtime may lack it. `createHash` creates a stream.
  return (
    crypto.hash?.('sha1', text, 'base64') ?? crypto.createHash('sha1').update(text).digest('base64')
  );
}
