import type { BorrowedMessage, DataType, MessageData } from '@ws/conn';
import { BinaryMessage, kind, Message, TextMessage } from '@ws/conn/parts';

const encoder = /* @__PURE__ */ new TextEncoder();
const decoder = /* @__PURE__ */ new TextDecoder('utf-8', { ignoreBOM: true });

/** Up to this many characters a loop is faster than the browser's encoder. */
const SHORT = 64;

/** Encodes `text` in new memory. Lone surrogates become U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const { length } = text;
  if (length > SHORT) return encoder.encode(text);
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 127) return encoder.encode(text);
    bytes[i] = unit;
  }
  return bytes;
}

/** Decodes UTF-8. A byte order mark is kept; invalid bytes become U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** The part of a platform that messages need. */
const platform = { decodeUtf8 };

/**
 * A message in a page. The handlers of `receive` get it too: in a page it stays valid after the
 * handler has finished.
 */
export class PageMessage extends Message {
  /** The browser has decoded it already. */
  readonly #text: string | undefined;

  /** @internal */
  constructor(data: string | Uint8Array) {
    if (typeof data === 'string') {
      super(TextMessage, encodeUtf8(data), platform);
      this.#text = data;
    } else super(BinaryMessage, data, platform);
  }

  override text(): string {
    return this.#text ?? super.text();
  }

  /** Bytes of payload. */
  get length(): number {
    return this.data.length;
  }

  /** A copy of the message. */
  copy(): Message {
    return new Message(this.type, this.data.slice(), platform);
  }
}

/** Whether `data` is a message: of this package, or of another copy of `@ws/conn` in the page. */
function isMessage(data: unknown): data is Message | BorrowedMessage {
  return (data as Partial<Message> | null | undefined)?.data instanceof Uint8Array;
}

/** The message type that `send` gives to `data`. */
export function dataTypeOf(data: MessageData): DataType {
  if (typeof data === 'string') return TextMessage;
  return isMessage(data) ? data.type : BinaryMessage;
}

/**
 * Returns `data` in the form that a browser sends as `type`. Shared memory is copied: browsers
 * refuse it.
 *
 * @throws TypeError for other data, and for bytes that were transferred.
 */
export function payloadOf(method: string, type: number, data: MessageData): string | Uint8Array {
  if (typeof data === 'string') return type === TextMessage ? data : encodeUtf8(data);
  const bytes = bytesOf(method, data);
  if (type === TextMessage) return decodeUtf8(bytes);
  const { buffer } = bytes;
  const isStable = buffer instanceof ArrayBuffer && !(buffer as { resizable?: boolean }).resizable;
  return isStable ? bytes : bytes.slice();
}

/** @throws TypeError for other data, and for bytes that were transferred. */
export function bytesOf(method: string, data: MessageData): Uint8Array {
  if (typeof data === 'string') return encodeUtf8(data);
  const bytes = isMessage(data) ? data.data : data;
  const { buffer, byteOffset, byteLength } = ArrayBuffer.isView(bytes) ? bytes : { buffer: bytes };
  if (!/^(Shared)?ArrayBuffer$/.test(kind(buffer))) {
    const cure = 'expected a string or bytes; writeJSON sends objects, options come last';
    throw new TypeError(`${method}: ${cure}; got ${kind(data)}`);
  }
  // A detached buffer throws.
  return new Uint8Array(buffer, byteOffset, byteLength);
}
