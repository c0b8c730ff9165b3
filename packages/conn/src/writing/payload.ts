import { BinaryMessage, CloseMessage, type OwnedBytes, PingMessage, PongMessage } from '@ws/codec';
import { bufferOf, bytesOfView, isBytes, lengthOf, MAX_CONTROL_PAYLOAD } from '@ws/codec/internal';
import { COPY_BELOW, copyOf } from '../memory/copy.ts';
import { BorrowedMessage, type DataType, Message } from '../message.ts';
import type { Platform } from '../platform/platform.ts';
import { portablePlatform } from '../platform/portable-platform.ts';
import { isBuffer, kind, refuseCopy } from '../validate.ts';

/**
 * Data that can be sent: a string (text), an ArrayBuffer or SharedArrayBuffer, any view, a
 * {@link Message}, or the {@link BorrowedMessage} of a `receive` handler.
 */
export type MessageData = string | ArrayBufferLike | ArrayBufferView | Message | BorrowedMessage;

/** The message type that `send` gives to data that is not a string. */
export function dataTypeOf(data: MessageData): DataType {
  // Checks for bytes first: the other checks would walk the whole prototype chain of bytes.
  if (isBytes(data)) return BinaryMessage;
  return data instanceof BorrowedMessage || data instanceof Message ? data.type : BinaryMessage;
}

/** Advice for an object as a bad argument, by method. */
const HINTS: Readonly<Record<string, string>> = {
  send: '; writeJSON sends objects, and options come after the data',
  writeMessage: '; writeJSON sends objects, and options come after the data',
  ping: '; options are the second argument',
  // Methods of the hub.
  'session.send': '; writeJSON sends objects',
  publish: '; publishJSON sends objects',
};
/** Advice for a bad argument by its class, for all methods. */
const OBJECT_HINTS: Readonly<Record<string, string>> = {
  Promise: '; await it',
  Blob: '; send await blob.arrayBuffer(), or pipe blob.stream()',
  File: '; send await file.arrayBuffer(), or pipe file.stream()',
};
const OTHER_HINT = '; JSON.stringify makes a string of it';

/**
 * Returns the bytes of `data`, without a copy. An array of the application is returned as it is,
 * because a view costs more than most messages: ask `lengthOf` for its length, as a property of the
 * array may have another value.
 *
 * @param method - The method that the caller used, for the error.
 * @throws TypeError for other data, for a detached buffer, and for a view of a resized buffer that
 *   is now too short.
 */
export function bytesOf(data: unknown, method: string): Uint8Array {
  if (isBytes(data)) {
    const length = lengthOf(data);
    // Above this size the array is referenced. Its properties may change before it is written.
    return length === 0 || length >= COPY_BELOW ? plain(data) : data;
  }
  if (data instanceof Message) return bytesOf(data.data, method);
  if (data instanceof BorrowedMessage) return bytesOf(data.borrow(), method);
  if (ArrayBuffer.isView(data) || isBuffer(data)) return plain(data);
  for (const Class of [Message, BorrowedMessage]) refuseCopy(data, Class, method);
  const got = kind(data);
  const isObject = typeof data === 'object' && data !== null;
  const hint = isObject || method === 'ping' ? (HINTS[method] ?? OTHER_HINT) : '';
  throw new TypeError(
    `${method}: expected a string or bytes, got ${got}${OBJECT_HINTS[got] ?? hint}`,
  );
}

function plain(data: ArrayBufferView | ArrayBufferLike): Uint8Array {
  try {
    return ArrayBuffer.isView(data) ? bytesOfView(data) : new Uint8Array(data);
  } catch (cause) {
    throw new TypeError('websocket: the buffer is detached: its bytes were transferred', { cause });
  }
}

export function isControlType(type: unknown): type is number {
  return type === CloseMessage || type === PingMessage || type === PongMessage;
}

/**
 * Returns the payload of a control frame.
 *
 * @throws TypeError as {@link bytesOf} does, RangeError for more than 125 bytes (RFC 6455, section
 *   5.5).
 */
export function controlPayload(data: unknown, platform: Platform, method: string): Uint8Array {
  const bytes = typeof data === 'string' ? utf8(data, platform) : plain(bytesOf(data, method));
  if (bytes.length > MAX_CONTROL_PAYLOAD) {
    throw new RangeError(
      `websocket: invalid control frame: ${bytes.length} bytes of payload, at most ${MAX_CONTROL_PAYLOAD} are allowed`,
    );
  }
  return bytes;
}

/**
 * Whether other threads may write to the memory of `bytes`, or the memory may shrink. A pending
 * write cannot reference such memory. Call this only for large arrays: V8 creates the `buffer` of a
 * small array at the first access.
 */
export function isUnstable(bytes: Uint8Array): boolean {
  const buffer = bufferOf(bytes);
  return !(buffer instanceof ArrayBuffer) || (buffer as { resizable?: boolean }).resizable === true;
}

/** Returns `text` as UTF-8 in new memory. Lone surrogates become U+FFFD. */
export function utf8(text: string, platform: Platform = portablePlatform): OwnedBytes {
  const room = new Uint8Array(text.length * 3);
  return copyOf(room, 0, platform.writeUtf8(room, 0, text));
}

/**
 * Joins a surrogate pair that is split between two parts of a text message, as TextEncoderStream
 * does.
 */
export class SurrogatePairs {
  /** The first half of a pair, from the end of the last part; `''` for none. */
  half = '';

  /** Returns the text to encode now. If the text ends with a first half, keeps it for the next part. */
  join(text: string): string {
    if (text === '') return '';
    const joined = this.half + text;
    const isHalf = (joined.charCodeAt(joined.length - 1) & 0xfc00) === 0xd800;
    this.half = isHalf ? joined.slice(-1) : '';
    return isHalf ? joined.slice(0, -1) : joined;
  }

  /** Called after the last part. Returns a first half without a second half, or `''`. */
  takeRest(): string {
    const { half } = this;
    this.half = '';
    return half;
  }
}
