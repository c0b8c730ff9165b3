import type { BinaryMessage, TextMessage } from '@ws/codec';
import { copyOf } from './copy.ts';
import type { Host } from './host.ts';

/** The type of a data message: `TextMessage` (1) or `BinaryMessage` (2). */
export type DataType = typeof TextMessage | typeof BinaryMessage;

/** A message as `readMessage` and `for await` give it. Its bytes are yours: keep them, change them. */
export class Message {
  /** `TextMessage` (1) or `BinaryMessage` (2). */
  readonly type: DataType;
  /**
   * The payload, yours. Of a text message: its UTF-8, already checked.
   *
   * The buffer behind it, `data.buffer`, may be larger, at most eight times, and hold neighbouring messages of this
   * connection. They never overlap: change these bytes as you like. Before you transfer or post them to another thread,
   * `data.slice()`; a view of another type over the buffer begins at `data.byteOffset`.
   */
  readonly data: Uint8Array;
  readonly #host: Host;

  constructor(type: DataType, data: Uint8Array, host: Host) {
    this.type = type;
    this.data = data;
    this.#host = host;
  }

  /** The payload as a string. Of a binary message that is not UTF-8, U+FFFD stands for what is not. */
  text(): string {
    return this.#host.decodeUtf8(this.data, 0, this.data.length);
  }

  /**
   * The payload parsed as JSON.
   *
   * @throws SyntaxError when it is none.
   */
  json(): unknown {
    return JSON.parse(this.text());
  }
}

/**
 * A message as the handler of `receive` gets it: one object for all messages of a connection. It is valid until the
 * handler returns or, when it returned a promise, until that settles. `copy()` gives a {@link Message} to keep.
 *
 * Given to `send` or `writeMessage` as it is, it is sent without a view being made.
 */
export class BorrowedMessage {
  /** @internal The buffer that the payload lies in. */
  bytes: Uint8Array;
  /** @internal */
  start = 0;
  /** @internal */
  end = 0;
  #type: DataType = 2;
  /** Whether the bytes may be read: false outside of the handler. */
  #valid = false;
  #view: Uint8Array | undefined;
  readonly #host: Host;

  /** @internal */
  constructor(host: Host) {
    this.#host = host;
    this.bytes = NONE;
  }

  /** `TextMessage` (1) or `BinaryMessage` (2). */
  get type(): DataType {
    return this.#type;
  }

  /** Bytes of payload. */
  get length(): number {
    return this.end - this.start;
  }

  /**
   * A view of the payload, made on first use. Borrowed: it shows other bytes once the handler is done. The buffer behind
   * it is larger than the message and shared with others: hand the bytes of {@link copy} to another thread, not these.
   */
  get data(): Uint8Array {
    this.check();
    // Not `subarray`: a chunk of Node's is a Buffer, whose `slice` copies nothing.
    const { bytes } = this;
    this.#view ??= new Uint8Array(bytes.buffer, bytes.byteOffset + this.start, this.length);
    return this.#view;
  }

  /** The payload as a string, yours to keep. */
  text(): string {
    this.check();
    return this.#host.decodeUtf8(this.bytes, this.start, this.end);
  }

  /**
   * The payload parsed as JSON, yours to keep.
   *
   * @throws SyntaxError when it is none.
   */
  json(): unknown {
    return JSON.parse(this.text());
  }

  /** The message with bytes of its own, to keep. */
  copy(): Message {
    this.check();
    return new Message(this.#type, copyOf(this.bytes, this.start, this.end), this.#host);
  }

  /** @internal Lends `bytes[start, end)` to the handler. */
  lend(type: DataType, bytes: Uint8Array, start: number, end: number): void {
    this.#type = type;
    // Asked first: storing a young object in an old one is not free, and mostly it is the same chunk as before.
    if (this.bytes !== bytes) this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.#valid = true;
  }

  /** @internal The handler is done. */
  takeBack(): void {
    this.#valid = false;
    this.#view = undefined;
  }

  /** @internal No other message follows in the same memory: it is let go of. */
  letGo(): void {
    this.bytes = NONE;
  }

  /** @internal Throws when the handler is done. */
  check(): void {
    if (!this.#valid) {
      throw new TypeError(
        'a BorrowedMessage was used after its handler was done; keep copy() instead',
      );
    }
  }
}

const NONE = /* @__PURE__ */ new Uint8Array(0);
