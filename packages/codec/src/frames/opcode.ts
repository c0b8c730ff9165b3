/**
 * RFC 6455, section 11.8: a continuation of a fragmented message.
 *
 * @example
 * ```ts
 * import { ContinuationFrame, encodeFrame } from '@ws/codec';
 *
 * const rest = Uint8Array.of(0x6c, 0x6f);
 * console.log(encodeFrame(ContinuationFrame, rest)); // Uint8Array(4) [ 128, 2, 108, 111 ]
 * ```
 */
export const ContinuationFrame = 0;
/**
 * RFC 6455, section 11.8: a message of UTF-8 text.
 *
 * @example
 * ```ts
 * import { connPair, TextMessage } from '@ws/conn';
 *
 * const [client] = connPair();
 * await client.writeMessage(TextMessage, 'hello');
 * ```
 */
export const TextMessage = 1;
/**
 * RFC 6455, section 11.8: a message of bytes.
 *
 * @example
 * ```ts
 * import { BinaryMessage, connPair } from '@ws/conn';
 *
 * const [client] = connPair();
 * await client.writeMessage(BinaryMessage, Uint8Array.of(1, 2, 3));
 * ```
 */
export const BinaryMessage = 2;
/**
 * RFC 6455, section 11.8: the close control frame.
 *
 * @example
 * ```ts
 * import { CloseMessage, connPair, formatCloseMessage } from '@ws/conn';
 *
 * const [client] = connPair();
 * await client.writeControl(CloseMessage, formatCloseMessage(1001, 'restart'));
 * ```
 */
export const CloseMessage = 8;
/**
 * RFC 6455, section 11.8: the ping control frame.
 *
 * @example
 * ```ts
 * import { connPair, PingMessage } from '@ws/conn';
 *
 * const [client] = connPair();
 * await client.writeControl(PingMessage, Uint8Array.of(1));
 * ```
 */
export const PingMessage = 9;
/**
 * RFC 6455, section 11.8: the pong control frame.
 *
 * @example
 * ```ts
 * import { connPair, PongMessage } from '@ws/conn';
 *
 * const [client] = connPair();
 * await client.writeControl(PongMessage); // a heartbeat without an answer
 * ```
 */
export const PongMessage = 10;

/** An end of a connection. A client masks its frames, a server must not (RFC 6455, section 5.1). */
export type Role = 'client' | 'server';

/** Whether `opcode` is that of a control frame: its top bit is set (RFC 6455, section 5.5). */
export function isControl(opcode: number): boolean {
  return (opcode & 0x8) !== 0;
}
