import type { DeflateLimits, DeflateParameters } from '../handshake/deflate-negotiation.ts';
import type { BinaryMessage, Role, TextMessage } from '../protocol.ts';

/** The type of a data message: `TextMessage` (1) or `BinaryMessage` (2). */
export type DataType = typeof TextMessage | typeof BinaryMessage;

/**
 * An extension of one connection (RFC 6455, section 9): it changes the payload of messages, and
 * marks those messages with reserved bits of their first frame. permessage-deflate is one (RFC
 * 7692). It holds the state of both directions: it serves one connection.
 *
 * The way in: {@link begin} for the first frame of a message, then {@link feed} for each piece of
 * payload, then {@link step} while {@link more} is true, and {@link endMessage} after the last byte.
 *
 * The way out: {@link wants} for each message, and {@link encode} for each of its fragments.
 *
 * Unstable: it may change in a minor version.
 *
 * @example An extension that inverts each byte.
 * ```ts
 * import {
 *   CLOSE,
 *   encodeFrame,
 *   type Extension,
 *   MessageDecoder,
 *   NEED_MORE,
 *   STEP,
 *   TextMessage,
 * } from '@ws/codec';
 *
 * // Inverts each byte, and marks such a message with RSV2.
 * class Inversion implements Extension {
 *   readonly rsv = 0x20;
 *   readonly held = 0;
 *   more = false;
 *   done = false;
 *   output: Uint8Array = new Uint8Array(0);
 *   #input: Uint8Array = new Uint8Array(0);
 *   #last = false;
 *
 *   get unread(): number {
 *     return this.#input.length;
 *   }
 *
 *   begin(): void {}
 *
 *   feed(bytes: Uint8Array, start: number, end: number, last: boolean): void {
 *     this.#input = bytes.subarray(start, end); // lent until keep()
 *     this.#last = last;
 *   }
 *
 *   ready(): boolean {
 *     return true;
 *   }
 *
 *   step(into: Uint8Array): number {
 *     const size = Math.min(this.#input.length, into.length);
 *     for (let i = 0; i < size; i++) into[i] = ~this.#input[i]!;
 *     this.#input = this.#input.subarray(size);
 *     this.more = this.#input.length > 0;
 *     this.done = this.#last && !this.more;
 *     return size;
 *   }
 *
 *   keep(): void {
 *     this.#input = this.#input.slice();
 *   }
 *
 *   endMessage(): void {}
 *
 *   destroy(): void {
 *     this.#input = new Uint8Array(0);
 *     this.more = false;
 *   }
 *
 *   wants(): boolean {
 *     return true;
 *   }
 *
 *   encode(bytes: Uint8Array, start: number, end: number): number {
 *     this.output = bytes.slice(start, end).map((byte) => ~byte);
 *     return this.output.length;
 *   }
 *
 *   endOutput(): void {}
 * }
 *
 * const decoder = new MessageDecoder({ role: 'server', readLimit: 2 ** 20 });
 * decoder.extension = new Inversion(); // both ends have agreed on it
 * let ended = false;
 *
 * function receive(chunk: Uint8Array): void {
 *   if (ended) return;
 *   decoder.push(chunk); // lent: the decoder may change it
 *   let event: number;
 *   while (!ended && (event = decoder.next()) > NEED_MORE) {
 *     if (event === STEP) continue; // a part of the work is done
 *     console.log(event, new TextDecoder().decode(decoder.data()));
 *     ended = event === CLOSE;
 *   }
 *   if (decoder.error !== undefined) throw decoder.error;
 * }
 *
 * const peer = new Inversion();
 * const hello = new TextEncoder().encode('hello');
 * const size = peer.encode(hello, 0, hello.length);
 * const payload = peer.output.subarray(0, size);
 * receive(encodeFrame(TextMessage, payload, { rsv: peer.rsv, maskKey: 0x12345678 })); // 1 hello
 * ```
 */
export interface Extension {
  /** The reserved bits that it uses, as wire bits: `0x40` RSV1, `0x20` RSV2, `0x10` RSV3. */
  readonly rsv: number;

  /** Whether {@link step} has more work to do. One step follows each {@link feed} in any case. */
  readonly more: boolean;
  /** Bytes of input that {@link step} has not used. */
  readonly unread: number;
  /** Bytes that the extension holds for the message under way. They count against the read-ahead. */
  readonly held: number;
  /** The last {@link step} has produced the last byte of the message. */
  readonly done: boolean;

  /**
   * A message begins.
   *
   * @param rsv - The bits of the extension that its first frame has: at least one.
   */
  begin(type: DataType, rsv: number): void;
  /**
   * Takes payload of the message, unmasked; `last`: the message ends with it.
   *
   * @param bytes - Lent until {@link step} has used them, or until {@link keep}.
   */
  feed(bytes: Uint8Array, start: number, end: number, last: boolean): void;
  /**
   * Whether the next {@link step} may run now. Otherwise the extension calls {@link resume} later.
   */
  ready(): boolean;
  /** Whether it is not ready until a later turn of the thread, which is sure to come. Default: false. */
  readonly waiting?: boolean;
  /**
   * As {@link ready}, for a message that no read waits for. The extension may answer false while other
   * connections need an engine that all of them share. Default: true.
   */
  readyAhead?(): boolean;
  /**
   * Writes the next plain bytes to `into`, at most as many as it has room for.
   *
   * @param limit - Plain bytes that the rest of the message may have. `into` may have room for more.
   * @returns Number of bytes; more than `limit`: the message is too long.
   * @throws ProtocolError for payload that it cannot decode.
   */
  step(into: Uint8Array, limit: number): number;
  /** Lent input is no longer valid after this call: copies what is unread. */
  keep(): void;
  /** The message that arrived is complete. */
  endMessage(): void;
  /**
   * No further message is wanted: drops the message that arrives, and releases its memory. A
   * connection calls it once all of its input is read or dropped. It may call it again.
   */
  destroy(): void;
  /**
   * The transport is closed: no further message is sent, and messages that arrived may still be
   * read. The extension gives up what it shares with other connections.
   *
   * @throws Any error: the messages that arrived are dropped.
   */
  detach?(): void;
  /** A connection sets it. An extension that was not {@link ready} calls it once it is. */
  resume?: (() => void) | undefined;

  /**
   * Whether to change the next message that is sent.
   *
   * @param size - Its size in bytes; Infinity when it is sent in fragments.
   * @param compress - The option `compress` of the write. An extension that does not compress ignores it.
   */
  wants(size: number, compress: boolean | undefined): boolean;
  /**
   * Most bytes of a message that {@link encode} gets as one fragment. A larger message is left as it
   * is, unless its sender writes it in fragments. Default: no bound.
   */
  readonly maxBytes?: number;
  /**
   * Encodes a fragment of a message into {@link output}.
   *
   * @param bytes - Borrowed for the call. Neither changed nor kept.
   * @param first - Whether the message begins with the fragment.
   * @param last - Whether it ends with it.
   * @returns Number of bytes; -1 for the first fragment: the whole message is left as it is.
   * @throws Any error: the message is not sent. After its first fragment, the connection fails.
   */
  encode(bytes: Uint8Array, start: number, end: number, first: boolean, last: boolean): number;
  /** `output[0, n)` is what {@link encode} has made. It is used before the next call. */
  readonly output: Uint8Array;
  /** The reserved bits of the message that {@link encode} has begun. Default: all of {@link rsv}. */
  readonly sentRsv?: number;
  /**
   * The message that was encoded is complete, or given up. {@link output} is no longer used.
   *
   * @param sent - Whether it is sent, as it was encoded or left. Otherwise the peer gets nothing of
   *   it, or the connection ends: later messages must not refer back to it.
   */
  endOutput(sent: boolean): void;
  /** How it encodes messages apart from the connection. Default: it does not. */
  readonly shared?: SharedEncoding;
}

/** Encodes whole messages once for many connections. Unstable, as {@link Extension}. */
export interface SharedEncoding {
  /** Encodings with the same key turn a message into the same bytes. No other kind of extension uses the same keys. */
  readonly key: number | string;
  /** Most bytes of a message that this connection sends encoded. Default: no bound. */
  readonly maxBytes?: number;
  /**
   * Encodes a message without the context of earlier ones, for every connection with this key.
   *
   * @returns Bytes of the caller; undefined: the message is left as it is.
   * @throws Any error of the platform, for example without memory.
   */
  alone(bytes: Uint8Array): Uint8Array | undefined;
  /** The connection has sent the encoding of the message `bytes[start, end)`. */
  recordSent(bytes: Uint8Array, start: number, end: number): void;
  /** The message that was recorded last is not sent: later ones must not refer back to it. */
  forget(): void;
}

/** Returns `size`, which {@link Extension.step} has returned for these arguments. */
export function checkedSize(size: number, into: Uint8Array, limit: number): number {
  if (size >= 0 && (size <= into.length || size > limit)) return size;
  throw new RangeError(`Extension.step: returned ${size}, for an array of ${into.length} bytes`);
}

/** Returns `size`, which {@link Extension.encode} has returned; `first` is its argument. */
export function encoded(size: number, extension: Extension, first: boolean): number {
  const { output, rsv, sentRsv = rsv } = extension;
  if ((sentRsv & ~rsv) !== 0)
    throw new RangeError(`Extension.sentRsv: ${sentRsv} is not of its rsv`);
  if (size >= (first ? -1 : 0) && size <= output.length) return size;
  throw new RangeError(`Extension.encode: returned ${size}, for ${output.length} bytes of output`);
}

/**
 * How one end compresses: the option `compression` of a connection. `Infinity` means no bound. Change
 * what you need of {@link DEFAULT_COMPRESSION}.
 */
export interface Compression {
  readonly mode: 'shared' | 'takeover';
  /** -2 to 9. */
  readonly level: number;
  /** In bytes. */
  readonly threshold: number;
  /** 8 to 15; undefined when the option is absent. */
  readonly clientMaxWindowBits: number | undefined;
  /** In bytes, of a message that is compressed for one connection. */
  readonly maxBytes: number;
}

/**
 * The compression of a connection without options: each message on its own, at level 1, from 256 bytes
 * on. {@link MessageDeflate} takes it.
 *
 * @example
 * ```ts
 * import { DEFAULT_COMPRESSION } from '@ws/codec';
 *
 * const compression = { ...DEFAULT_COMPRESSION, threshold: 1024 };
 * ```
 */
export const DEFAULT_COMPRESSION: Compression = {
  mode: 'shared',
  level: 1,
  threshold: 256,
  clientMaxWindowBits: undefined,
  maxBytes: 262_144,
};

/** permessage-deflate (RFC 7692). `perMessageDeflate` of `@ws/deflate` makes it of engines. */
export interface MessageDeflate {
  /**
   * Decides what one end allows in the handshake.
   *
   * @param readLimit - In bytes; Infinity for no bound.
   * @returns The limits for `offerDeflate` and `negotiateDeflate`, or the reason why this end does
   *   not compress.
   */
  limits(compression: Compression, role: Role, readLimit: number): DeflateLimits | string;
  /** Creates the extension of one connection, with the parameters that both ends agreed on. */
  extension(
    agreed: DeflateParameters,
    compression: Compression,
    role: Role,
    runtime: ExtensionRuntime,
  ): DeflateExtension;
}

/** permessage-deflate, as a connection uses it. */
export type DeflateExtension = Extension & {
  /** Bytes of the window with earlier messages of the peer. */
  readonly historyBytes: number;
  readonly compressor: {
    /** -2 to 9. */
    level: number;
    /** Whether messages without their own option `compress` are compressed. */
    enabled: boolean;
  };
};

/** The services of the runtime that an extension with engines needs. */
export interface ExtensionRuntime {
  /** The time of a monotonic clock in ms. */
  now(): number;
  /** Runs `callback` in a later turn of the event loop, after pending I/O. It never throws. */
  yield(callback: () => void): void;
  /** Calls `entry.fire()` after `ms` milliseconds, unless `entry` is set already. */
  fireLater(entry: { slot: number | undefined; fire(): void }, ms: number): void;
  /** Calls `call` in an async context that no other connection shares. */
  inOwnContext(call: () => void): void;
}
