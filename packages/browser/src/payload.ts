import {
  BackpressureError,
  BinaryMessage,
  type DataType,
  Message,
  type MessageData,
  type OwnedBytes,
  TextMessage,
} from '@ws/conn';
import { badType, bytesOfView, kind } from '@ws/conn/internal';
import type { BrowserConnBounds } from './options.ts';

// Created on first use, because jsdom of Jest has neither class.
let encoder: { encode(text: string): OwnedBytes } | undefined;
let decoder: { decode(bytes: Uint8Array): string } | undefined;

/** Bytes charged for the objects of each queued message, on top of its payload. */
export const MESSAGE_COST = 320;

/** For at most this many characters, a loop is 10 times as fast as the browser's encoder. */
const SHORT = 64;

/** Encodes `text` in new memory. Lone surrogates become U+FFFD. */
function encodeUtf8(text: string): OwnedBytes {
  const { length } = text;
  if (length <= SHORT) {
    const bytes = new Uint8Array(length);
    let i = 0;
    for (; i < length && text.charCodeAt(i) < 128; i++) bytes[i] = text.charCodeAt(i);
    if (i === length) return bytes;
  }
  return (encoder ??= new TextEncoder()).encode(text);
}

/** Decodes UTF-8. A byte order mark is kept; invalid bytes become U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  return (decoder ??= new TextDecoder('utf-8', { ignoreBOM: true })).decode(bytes);
}

/**
 * A message in a page. The handler of `receive` gets it too: unlike other borrowed messages, it stays
 * valid after the handler has finished.
 */
export class PageMessage extends Message {
  /** The text, which the browser has decoded; undefined for a binary message. */
  readonly #text: string | undefined;

  /** @internal */
  constructor(type: DataType, data: OwnedBytes, text?: string) {
    super(type, data, DECODING);
    this.#text = text;
  }

  override text(): string {
    return this.#text ?? super.text();
  }

  /** Bytes of payload. */
  get length(): number {
    return this.data.length;
  }

  /** Returns `data`: in a page no bytes are borrowed. */
  borrow(): Uint8Array {
    return this.data;
  }

  /** A copy of the message. */
  copy(): Message {
    return new PageMessage(this.type, this.data.slice(), this.#text);
  }
}

const DECODING = { decodeUtf8 };

/** The message for the `data` of a `message` event. */
export function messageOf(data: unknown): PageMessage {
  if (typeof data === 'string') return new PageMessage(TextMessage, encodeUtf8(data), data);
  if (data instanceof ArrayBuffer) return new PageMessage(BinaryMessage, new Uint8Array(data));
  // In Bun `data` is a plain Uint8Array. Its getter `buffer` is slow in JavaScriptCore.
  const isPlain = (data as object).constructor === Uint8Array;
  return new PageMessage(BinaryMessage, isPlain ? (data as OwnedBytes) : bytesOf('message', data));
}

/**
 * Returns `data` if it is a message. Not by `instanceof`: it may be of another copy of `@ws/conn`. Bytes
 * may have properties of the same names.
 */
function messageIn(data: unknown): Message | undefined {
  const message = ArrayBuffer.isView(data) ? undefined : (data as Message | undefined);
  return typeof message?.isText === 'boolean' ? message : undefined;
}

/** The message type that `send` gives to `data`. */
export function dataTypeOf(data: MessageData): DataType {
  return typeof data === 'string' ? TextMessage : (messageIn(data)?.type ?? BinaryMessage);
}

/**
 * Returns `data` in the form that a browser sends as `type`. Shared memory is copied: browsers
 * refuse it.
 *
 * @throws TypeError for other data, and for bytes that were transferred.
 */
export function payloadOf(method: string, type: number, data: MessageData): string | Uint8Array {
  if (typeof data === 'string') return type === TextMessage ? data : encodeUtf8(data);
  // The getter `buffer` is slow in JavaScriptCore. The bytes of an empty message may be transferred.
  if (type !== TextMessage && data instanceof PageMessage && data.length > 0) return data.data;
  const bytes = bytesOf(method, data);
  if (type === TextMessage) return decodeUtf8(bytes);
  const { buffer } = bytes;
  const isStable = buffer instanceof ArrayBuffer && !(buffer as { resizable?: boolean }).resizable;
  return isStable ? bytes : bytes.slice();
}

/** @throws TypeError for other data, and for bytes that were transferred. */
export function bytesOf(method: string, data: unknown): OwnedBytes {
  if (typeof data === 'string') return encodeUtf8(data);
  const bytes: unknown = messageIn(data)?.data ?? data;
  if (ArrayBuffer.isView(bytes)) return bytesOfView(bytes) as OwnedBytes;
  if (!kind(bytes).endsWith('ArrayBuffer')) {
    throw badType(`${method}: expected a string or bytes`, data);
  }
  // Throws for a detached buffer.
  return new Uint8Array(bytes as ArrayBuffer);
}

/** The error, if a message of `size` bytes would exceed the bound `name`. */
export function overflow(
  bounds: BrowserConnBounds,
  name: 'maxQueuedBytes' | 'maxBufferedAmount',
  buffered: number,
  size: number,
  effect = '',
): BackpressureError | undefined {
  const most = bounds[name];
  if (buffered + size <= most) return undefined;
  return new BackpressureError(
    `${effect}${buffered} bytes are already buffered; ${size} more would exceed ${name} (${most})`,
  );
}
