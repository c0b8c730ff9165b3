import { type DataType, type OwnedBytes, TextMessage } from '@ws/codec';
import { type Lease, lengthOf, poolsAreDebugged } from '@ws/codec/internal';
import { copyOf } from './memory/copy.ts';
import type { Platform } from './platform/platform.ts';

/** The part of a platform that a {@link Message} needs. */
export type TextDecoding = Pick<Platform, 'decodeUtf8'>;

/** The part of a platform that a {@link BorrowedMessage} needs. */
export type MessagePlatform = Pick<Platform, 'decodeUtf8' | 'overwritesLentBytes'>;

export type { DataType };

/**
 * The message that `readMessage` and `for await` return. Its bytes are yours: keep or change them.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * await client.send('{"x":1}');
 * const message = await server.readMessage();
 * console.log(message.isText, message.json()); // true { x: 1 }
 * ```
 */
export class Message {
  /** `TextMessage` (1) or `BinaryMessage` (2). */
  readonly type: DataType;
  /**
   * The payload, which you own. In a text message, it is valid UTF-8.
   *
   * `data.buffer` of a message of 4 KiB or more contains only this message. A smaller message may
   * share a buffer of up to eight times its size with other messages of the connection, some of them
   * unread. Call `data.slice()` before you transfer such bytes to another thread, and change no bytes
   * of the buffer outside `data`. `data.byteOffset` is a multiple of 8, for views of other types.
   */
  readonly data: OwnedBytes;
  readonly #platform: TextDecoding;

  constructor(type: DataType, data: OwnedBytes, platform: TextDecoding) {
    this.type = type;
    this.data = data;
    this.#platform = platform;
  }

  /** Whether this is a text message. */
  get isText(): boolean {
    return this.type === TextMessage;
  }

  /** The payload as a string. In a binary message, bytes that are not UTF-8 become U+FFFD. */
  text(): string {
    return this.#platform.decodeUtf8(this.data, 0, lengthOf(this.data));
  }

  /**
   * The payload parsed as JSON.
   *
   * @throws SyntaxError when it is not JSON.
   */
  json(): unknown {
    return JSON.parse(this.text());
  }

  /** As {@link text}, so that `String(message)` and `JSON.parse(message)` see the payload. */
  toString(): string {
    return this.text();
  }

  /** As {@link text}: `JSON.stringify` writes a message as a string. */
  toJSON(): string {
    return this.text();
  }
}

/**
 * The message that the handler of `receive` gets. Later messages use the same object again. The
 * object is valid until the handler has finished: until it returns, or until the promise that it
 * returned settles. You may keep the results of all methods except {@link borrow}.
 *
 * `send` and `writeMessage` accept this object, and create neither a copy nor a view of its bytes.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * const kept: Uint8Array[] = [];
 * void server.receive((message) => void kept.push(message.data));
 * await client.send('hello');
 * await client.close();
 * console.log(kept[0]?.length); // 5
 * ```
 */
export class BorrowedMessage {
  /** @internal The buffer that contains the payload; `NOT_LENT` when no handler has the message. */
  bytes: Uint8Array;
  /** @internal */
  start = 0;
  /** @internal */
  end = 0;
  /** @internal Pooled memory of the bytes, if any; released when the handler has finished. */
  lease: Lease | undefined = undefined;
  #type: DataType = 2;
  #view: Uint8Array | undefined;
  #data: OwnedBytes | undefined;
  /** @internal Whether the lent bytes are overwritten when the handler has finished. */
  readonly overwritten: boolean;
  readonly #platform: TextDecoding;

  /** @internal */
  constructor(platform: MessagePlatform) {
    this.#platform = platform;
    this.overwritten = platform.overwritesLentBytes === true || poolsAreDebugged();
    this.bytes = NOT_LENT;
  }

  /** `TextMessage` (1) or `BinaryMessage` (2). */
  get type(): DataType {
    this.check();
    return this.#type;
  }

  /** Whether this is a text message. */
  get isText(): boolean {
    return this.type === TextMessage;
  }

  /** Size of the payload in bytes. */
  get length(): number {
    this.check();
    return this.end - this.start;
  }

  /**
   * A copy of the payload, which you own. The first access creates the copy. Later accesses for the
   * same message return the same copy.
   */
  get data(): OwnedBytes {
    this.check();
    this.#data ??= copyOf(this.bytes, this.start, this.end);
    return this.#data;
  }

  /**
   * A view of the payload, without a copy. The bytes are valid until the handler has finished, and are
   * overwritten later. After you pass the message to a write, do not change the bytes: a server sends a
   * large message from this memory. The buffer of the view also contains other messages, so transfer
   * {@link data} to another thread, not this view.
   */
  borrow(): Uint8Array {
    this.check();
    // Not `subarray`: on a Buffer it returns a Buffer, whose `slice` does not copy.
    const { bytes } = this;
    this.#view ??= new Uint8Array(bytes.buffer, bytes.byteOffset + this.start, this.length);
    return this.#view;
  }

  /** The payload as a string. */
  text(): string {
    this.check();
    return this.#platform.decodeUtf8(this.bytes, this.start, this.end);
  }

  /**
   * The payload parsed as JSON.
   *
   * @throws SyntaxError when it is not JSON.
   */
  json(): unknown {
    return JSON.parse(this.text());
  }

  /** As {@link text}, so that `String(message)` and `JSON.parse(message)` see the payload. */
  toString(): string {
    return this.text();
  }

  /** As {@link text}: `JSON.stringify` writes a message as a string. */
  toJSON(): string {
    return this.text();
  }

  /** A copy of the message, to keep. */
  copy(): Message {
    this.check();
    return new Message(this.#type, copyOf(this.bytes, this.start, this.end), this.#platform);
  }

  /** @internal Lends `bytes[start, end)` to the handler. */
  lend(type: DataType, bytes: Uint8Array, start: number, end: number): void {
    this.#type = type;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  /** @internal Copies the payload to owned memory. Returns false if the handler has a view of it. */
  own(): boolean {
    if (this.#view !== undefined) return false;
    this.bytes = copyOf(this.bytes, this.start, this.end);
    this.start = 0;
    this.end = this.bytes.length;
    return true;
  }

  /** @internal The handler has finished. */
  takeBack(): void {
    this.bytes = NOT_LENT;
    this.#view = undefined;
    this.#data = undefined;
  }

  /** @internal Throws when the handler has finished. */
  check(): void {
    if (this.bytes === NOT_LENT) {
      throw new TypeError(
        'a BorrowedMessage was used after its handler was done; keep its data or a copy() instead',
      );
    }
  }
}

/** The value of `bytes` while no message is lent. Not `NO_BYTES`, which an empty message may have. */
const NOT_LENT = /* @__PURE__ */ new Uint8Array(0);
