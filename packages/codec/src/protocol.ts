// The numbers of RFC 6455: opcodes, close codes, and the largest payloads.

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

/** Whether `opcode` belongs to a control frame: its top bit is set (RFC 6455, section 5.5). */
export function isControl(opcode: number): boolean {
  return (opcode & 0x8) !== 0;
}

/** Largest payload of a control frame, in bytes (RFC 6455, section 5.5). */
export const MAX_CONTROL_PAYLOAD = 125;
/** Longest reason of a close frame, in bytes of UTF-8: the code takes two (RFC 6455, section 5.5.1). */
export const MAX_CLOSE_REASON = 123;
/**
 * Largest payload in bytes with its length in the second byte of the header (RFC 6455, section
 * 5.2).
 */
export const MAX_SHORT_PAYLOAD = 125;
/** Largest payload in bytes with a length of 16 bits. */
export const MAX_16_BIT_PAYLOAD = 65_535;

/**
 * The close codes of RFC 6455, section 7.4.1, and of the IANA registry, under the names of
 * gorilla/websocket.
 *
 * @example
 * ```ts
 * import { CloseCode, formatCloseMessage } from '@ws/codec';
 *
 * console.log(formatCloseMessage(CloseCode.GoingAway)); // Uint8Array(2) [ 3, 233 ]
 * ```
 */
export const CloseCode = {
  /** The connection has served its purpose. */
  NormalClosure: 1000,
  /** A server shuts down, or a browser leaves the page. */
  GoingAway: 1001,
  /** The peer's frames break the protocol. */
  ProtocolError: 1002,
  /** This endpoint cannot accept this type of data, for example binary instead of text. */
  UnsupportedData: 1003,
  /** Never on the wire: the close frame carried no code. */
  NoStatusReceived: 1005,
  /** Never on the wire: the connection ended without a close frame. */
  AbnormalClosure: 1006,
  /**
   * The data does not match its type: a text is not UTF-8, or a compressed message is not DEFLATE.
   */
  InvalidFramePayloadData: 1007,
  /** The message violates a policy of this endpoint, and no other code fits. */
  PolicyViolation: 1008,
  /** The message is larger than this endpoint accepts. */
  MessageTooBig: 1009,
  /** From a client: the server did not agree to an extension that the client needs. */
  MandatoryExtension: 1010,
  /** An error in this endpoint. The peer did not cause it. */
  InternalServerErr: 1011,
  /** The server restarts: reconnect after a random pause of 5 to 30 s. */
  ServiceRestart: 1012,
  /** The server is overloaded. */
  TryAgainLater: 1013,
  /** A gateway received no valid response from the server that it asked. */
  BadGateway: 1014,
  /** Never on the wire: the TLS handshake failed. */
  TLSHandshake: 1015,
} as const;

/**
 * Whether a close frame may carry `code`: 1000-1003, 1007-1014, 3000-4999.
 *
 * @see RFC 6455, section 7.4
 *
 * @example
 * ```ts
 * import { isValidCloseCode } from '@ws/codec';
 *
 * console.log([1000, 1006, 4000].map(isValidCloseCode)); // [ true, false, true ]
 * ```
 */
export function isValidCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (
    (code >= 1000 && code <= 1003) ||
    (code >= 1007 && code <= 1014) ||
    (code >= 3000 && code <= 4999)
  );
}
