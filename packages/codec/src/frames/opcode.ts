/** RFC 6455, section 11.8: a continuation of a fragmented message. */
export const ContinuationFrame = 0;
/** RFC 6455, section 11.8: a message of UTF-8 text. */
export const TextMessage = 1;
/** RFC 6455, section 11.8: a message of bytes. */
export const BinaryMessage = 2;
/** RFC 6455, section 11.8: the close control frame. */
export const CloseMessage = 8;
/** RFC 6455, section 11.8: the ping control frame. */
export const PingMessage = 9;
/** RFC 6455, section 11.8: the pong control frame. */
export const PongMessage = 10;

/** An end of a connection. A client masks its frames, a server must not (RFC 6455, section 5.1). */
export type Role = 'client' | 'server';

/** Whether `opcode` is that of a control frame: its top bit is set (RFC 6455, section 5.5). */
export function isControl(opcode: number): boolean {
  return (opcode & 0x8) !== 0;
}
