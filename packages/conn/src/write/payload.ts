import type { Host } from './host.ts';
import { BorrowedMessage } from './message.ts';
import { kind } from './options.ts';
import { utf8 } from './text.ts';

/**
 * What can be sent: text, bytes in any shape, or the message that a `receive` handler was lent.
 */
export type MessageData = string | ArrayBufferLike | ArrayBufferView | BorrowedMessage;

/**
 * The bytes of `data`, seen in place.
 *
 * @throws TypeError when it has none, or has lost them to another thread.
 */
export function bytesOf(data: unknown): Uint8Array {
  if (data instanceof Uint8Array) {
    // A detached array looks empty; its buffer does not take a view any more. Its `length` alone may be stale: Node 20
    // and 22 forget about it in code that is optimized for resizable buffers too.
    if (data.byteLength === 0) attached(data.buffer);
    return data;
  }
  if (ArrayBuffer.isView(data)) {
    attached(data.buffer);
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  if (data instanceof ArrayBuffer || kind(data) === 'SharedArrayBuffer') {
    return attached(data as ArrayBuffer);
  }
  throw new TypeError(`websocket: expected a string or bytes, got ${kind(data)}`);
}

function attached(buffer: ArrayBufferLike): Uint8Array {
  try {
    return new Uint8Array(buffer);
  } catch (error) {
    throw new TypeError('websocket: the buffer is detached: its bytes belong to somebody else', {
      cause: error,
    });
  }
}

/**
 * The payload of a control frame.
 *
 * @throws TypeError as {@link bytesOf}, RangeError for more than 125 bytes (RFC 6455, section 5.5).
 */
export function controlPayload(data: unknown, host: Host): Uint8Array {
  const bytes = typeof data === 'string' ? utf8(data, host) : bytesOf(data);
  if (bytes.length > 125) {
    throw new RangeError(
      `websocket: invalid control frame: ${bytes.length} bytes of payload, 125 are allowed`,
    );
  }
  return bytes;
}

/**
 * Memory that other threads may write to, or that may shrink, cannot be referenced by a pending write. Ask for large
 * ones only: V8 makes the `buffer` of a small array when it is first looked at.
 */
export function isUnstable(bytes: Uint8Array): boolean {
  const { buffer } = bytes;
  return !(buffer instanceof ArrayBuffer) || (buffer as { resizable?: boolean }).resizable === true;
}

/** Whether `value` is the borrowed message of a handler. */
export function isBorrowed(value: unknown): value is BorrowedMessage {
  return value instanceof BorrowedMessage;
}
