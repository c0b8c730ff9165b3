import type { OwnedBytes } from '@ws/codec';
import { fromCaller, isMistake } from '@ws/codec/internal';
import { ReadPendingError } from '../errors.ts';
import { copyOf } from '../memory/copy.ts';
import type { DataType } from '../message.ts';
import type { Platform } from '../platform/platform.ts';
import { markHandled, rejected } from '../time/promises.ts';
import { isUint8Array, kind } from '../validate.ts';
import type { PieceQueue, PieceSource } from './piece-queue.ts';

/**
 * A message as a stream: its first bytes can be read before its last bytes have arrived. The
 * read-ahead bounds memory: while you do not read, the peer waits.
 *
 * A reader is valid until the next read of the connection begins, which drops the unread rest.
 * Later calls of the old reader reject with {@link ReadPendingError}. While `bytes`, `text`,
 * `json`, a loop or a web stream reads the message, another read of the connection rejects instead.
 * Finish the loop or leave it, finish the web stream or cancel it.
 *
 * No method reports the end of a message that is not complete. When the connection ends before
 * that, or `close`, `terminate` or a read deadline drops unread bytes, reading rejects with the
 * connection's error.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * void client.send('a long message');
 * const reader = await server.nextReader();
 * for await (const piece of reader) console.log(piece.length); // 14
 * ```
 */
export class MessageReader implements AsyncIterable<OwnedBytes> {
  /** `TextMessage` or `BinaryMessage`. */
  readonly type: DataType;
  readonly #pieces: PieceQueue;
  readonly #source: PieceSource;
  readonly #platform: Platform;

  /** @internal */
  constructor(type: DataType, pieces: PieceQueue, source: PieceSource, platform: Platform) {
    this.type = type;
    this.#pieces = pieces;
    this.#source = source;
    this.#platform = platform;
  }

  /**
   * Reads the next bytes of the message into `into`: as many as have arrived, at least one.
   *
   * @param into - Your memory; the reader writes to it until the promise settles.
   * @returns Number of bytes read, 0 at the end of the message.
   * @throws (rejects) RangeError when `into` is empty, TypeError when it is not a Uint8Array,
   *   {@link ReadPendingError} while another read of this message is pending or after a later read
   *   of the connection, and the error that ended the connection.
   */
  read(into: Uint8Array): Promise<number> {
    if (!isUint8Array(into)) {
      return this.#mistake(new TypeError(`read: expected a Uint8Array, got ${kind(into)}`));
    }
    if (into.length === 0) return this.#mistake(new RangeError('read: no room in an empty array'));
    return this.#once(
      (pieces) => {
        // The caller transferred the array to another thread. A result of 0 would mean the end of the
        // message.
        if (into.length === 0) throw this.#detached();
        return pieces.take(into);
      },
      0,
      into,
    );
  }

  /** The error of a read into a detached array. Bytes in it are lost, and with them the message. */
  #detached(): RangeError {
    const cause = 'the array of a read was detached';
    if (this.#pieces.fills) this.#source.dropRest(this.#pieces, cause);
    this.#pieces.fillNext(undefined);
    return new RangeError('read: the array was detached while it waited');
  }

  /**
   * Iterates over the message's bytes as they arrive, in pieces that you own. Leaving the loop
   * drops the rest.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<OwnedBytes> {
    let left = false;
    const next = async (): Promise<IteratorResult<OwnedBytes, undefined>> => {
      if (left) return { done: true, value: undefined };
      try {
        const piece = await this.#nextFor('a loop over a message');
        if (piece !== undefined) return { done: false, value: piece };
      } catch (error) {
        if (!left) throw error;
      }
      return { done: true, value: undefined };
    };
    return {
      next: () => markHandled(next()),
      return: () => {
        left = true;
        this.#leave('its loop was left');
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** The message's bytes as a web stream. Cancelling it drops the rest. */
  readable(): ReadableStream<OwnedBytes> {
    return new ReadableStream<OwnedBytes>(
      {
        pull: async (controller) => {
          const piece = await this.#nextFor('a web stream of a message');
          if (piece === undefined) controller.close();
          else controller.enqueue(piece);
        },
        cancel: () => this.#leave('its web stream was cancelled'),
      },
      { highWaterMark: 0 },
    );
  }

  /** Reads the rest of the message. You own the bytes. */
  bytes(): Promise<OwnedBytes> {
    if (this.#pieces.reading) return this.#clash();
    return this.#rejectionIfFailed() ?? this.#holding(() => this.#bytes());
  }

  /** Reads the rest of the message as a string. */
  text(): Promise<string> {
    return markHandled(
      this.bytes().then((bytes) => this.#platform.decodeUtf8(bytes, 0, bytes.length)),
    );
  }

  /**
   * Reads the rest of the message and parses it as JSON.
   *
   * @throws (rejects) SyntaxError when the rest is not JSON.
   */
  json(): Promise<unknown> {
    return markHandled(this.text().then((text) => JSON.parse(text) as unknown));
  }

  async #bytes(): Promise<OwnedBytes> {
    let all = new Uint8Array(0);
    let length = 0;
    for (;;) {
      const piece = await this.#next((pieces) => pieces.shift(), undefined);
      if (piece === undefined) return length === all.length ? all : copyOf(all, 0, length);
      if (length + piece.length > all.length) {
        // Doubling the array bounds the cost. On average, growth copies each byte of the message at
        // most twice.
        const grown = new Uint8Array(
          Math.max(length + piece.length, length === 0 ? 0 : all.length * 2),
        );
        grown.set(all.subarray(0, length));
        all = grown;
      }
      all.set(piece, length);
      length += piece.length;
    }
  }

  /** A copy of the next piece, for a loop or a web stream that reads to the end of the message. */
  async #nextFor(holder: string): Promise<OwnedBytes | undefined> {
    const pieces = this.#pieces;
    if (pieces.reading) return this.#clash();
    pieces.holder = holder;
    const piece = await this.#once((queue) => queue.shift(), undefined);
    if (piece !== undefined) return copyOf(piece);
    pieces.holder = '';
    return undefined;
  }

  /** A loop or a web stream does not want the rest of the message. */
  #leave(cause: string): void {
    this.#pieces.holder = '';
    this.#source.dropRest(this.#pieces, cause);
  }

  /** Runs a read that waits. The message cannot be read in another way until it settles. */
  #holding<T>(read: () => Promise<T>): Promise<T> {
    this.#pieces.reading = true;
    return markHandled(
      read().finally(() => {
        this.#pieces.reading = false;
      }),
    );
  }

  /**
   * Runs {@link #next}. Rejects another read while this one is pending. Bytes that arrive go
   * straight to `into`.
   */
  #once<T>(take: (pieces: PieceQueue) => T, end: T, into?: Uint8Array): Promise<T> {
    if (this.#pieces.reading) return this.#clash();
    const failed = this.#rejectionIfFailed<T>();
    if (failed !== undefined) return failed;
    if (into !== undefined && this.#pieces.empty) this.#pieces.fillNext(into);
    if (this.#pieces.empty && !this.#pieces.over) this.#source.more(this.#pieces);
    if (this.#pieces.ready) return this.#next(take, end);
    return this.#holding(() => this.#next(take, end));
  }

  #rejectionIfFailed<T>(): Promise<T> | undefined {
    const { empty, failure } = this.#pieces;
    if (!empty || failure === undefined) return undefined;
    return rejected<T>(failure.reason);
  }

  /**
   * Waits for a piece and resolves with the result of `take`. Resolves with `end` at the end of the
   * message.
   */
  #next<T>(take: (pieces: PieceQueue) => T, end: T): Promise<T> {
    const pieces = this.#pieces;
    if (!pieces.empty) this.#source.checkExpiry();
    if (pieces.empty && !pieces.over) this.#source.more(pieces);
    // A close may drop the piece before this callback runs. The callback then waits for the next
    // piece.
    if (!pieces.ready) return pieces.news().then(() => this.#next(take, end));
    return pieces.empty ? this.#atEnd(end) : this.#take(take);
  }

  #take<T>(take: (pieces: PieceQueue) => T): Promise<T> {
    try {
      const taken = take(this.#pieces);
      this.#source.taken(this.#pieces);
      return Promise.resolve(taken);
    } catch (error) {
      return this.#mistake(error);
    }
  }

  #mistake<T>(error: unknown): Promise<T> {
    if (isMistake(error)) fromCaller(error, this, 'read');
    this.#source.reportMistake(error);
    return rejected(error);
  }

  #atEnd<T>(end: T): Promise<T> {
    const { failure } = this.#pieces;
    return failure === undefined ? Promise.resolve(end) : rejected<T>(failure.reason);
  }

  #clash<T>(): Promise<T> {
    return rejected<T>(new ReadPendingError('a read of the message', 'another'), this);
  }
}
