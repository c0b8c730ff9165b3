import type { BinaryMessage, TextMessage } from '../frames/opcode.ts';

/** The type of a data message: `TextMessage` (1) or `BinaryMessage` (2). */
export type DataType = typeof TextMessage | typeof BinaryMessage;

/**
 * An extension of one connection (RFC 6455, section 9): it uses reserved bits of data frames and
 * changes the payload of the messages that have them. permessage-deflate is one (RFC 7692).
 *
 * The way in: {@link begin} for the first frame of a message, then {@link feed} for each piece of
 * payload, then {@link step} while {@link more} is true, and {@link endMessage} after the last byte.
 *
 * Unstable: it may change in a minor version.
 */
export interface Extension {
  /** The reserved bits that it uses, as wire bits: `0x40` RSV1, `0x20` RSV2, `0x10` RSV3. */
  readonly rsv: number;
  /** Whether {@link step} has work to do. */
  readonly more: boolean;
  /** Bytes of input that {@link step} has not used. */
  readonly unread: number;
  /** Bytes that the extension holds for the message under way. They count against the read-ahead. */
  readonly held: number;

  /** A message whose first frame has reserved bits of this extension begins. */
  begin(type: DataType): void;
  /**
   * Takes payload of the message, unmasked; `last`: the message ends with it.
   *
   * @param bytes - Lent until {@link step} has used them, or until {@link keep}.
   */
  feed(bytes: Uint8Array, start: number, end: number, last: boolean): void;
  /**
   * Whether the next {@link step} may run now. Otherwise the extension resumes the connection later,
   * in a way of its own.
   */
  ready(): boolean;
  /**
   * Writes the next plain bytes to `into`.
   *
   * @param limit - Plain bytes that the rest of the message may have. `into` may have room for more.
   * @returns Number of bytes; more than `limit`: the message is too long.
   * @throws ProtocolError for payload that it cannot decode.
   */
  step(into: Uint8Array, limit: number): number;
  /** The last {@link step} has produced the last byte of the message. */
  readonly done: boolean;
  /** Lent input is no longer valid after this call: copies what is unread. */
  keep(): void;
  /** The message is complete. */
  endMessage(): void;
  /** No further message is wanted: drops the message under way, and releases all memory. */
  destroy(): void;
}
