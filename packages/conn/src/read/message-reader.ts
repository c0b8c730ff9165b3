import type { DataType, OwnedBytes } from '@ws/codec';
import { fromCaller, isBytes, isMistake, lengthOf } from '@ws/codec/internal';
import { READ } from '../connection/reader.ts';
import { ReadPendingError } from '../errors.ts';
import { copyOf } from '../memory/copy.ts';
import { markHandled, rejected } from '../time/promises.ts';
import { kind } from '../validate.ts';
import { type PieceQueue, restDropped } from './piece-queue.ts';
import type { Source } from './source.ts';

/**
 * A message as a stream: its first bytes can be read before its last bytes have arrived. The
 * read-ahead bounds memory: while you do not read, the peer waits.
 *
 * A reader is valid until the next read of the connection begins. That read drops the unread rest of
 * the message, and later calls of the old reader reject with {@link ReadPendingError}. But while
 * `bytes`, `text`, `json`, a loop or a web stream reads the message, another read of the connection
 * rejects. Finish or leave the loop, finish or cancel the web stream.
 *
 * An incomplete message never ends normally. When the connection ends too early, or when `close`,
 * `terminate` or a read deadline drops unread bytes, reading rejects with the connection's error.
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
  readonly #connection: Source;
  /** Whether `bytes`, `text` or `json` has read the rest. */
  #hasRest = false;

  /** @internal */
  constructor(type: DataType, pieces: PieceQueue, connection: Source) {
    this.type = type;
    this.#pieces = pieces;
    this.#connection = connection;
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
    if (!isBytes(into)) {
      return this.#reject(new TypeError(`read: expected a Uint8Array, got ${kind(into)}`));
    }
    if (lengthOf(into) === 0)
      return this.#reject(new RangeError('read: no room in an empty array'));
    return this.#readAlone(
      (pieces) => {
        // `into` was transferred to another thread. The result 0 would mean the end of the message.
        if (lengthOf(into) === 0) throw this.#detached();
        return pieces.take(into);
      },
      0,
      into,
    );
  }

  /** Returns the error of a read into a detached array. Drops the message if the array had its bytes. */
  #detached(): RangeError {
    const cause = 'the array of a read was detached';
    if (this.#pieces.hasFilled) this.#dropRest(cause);
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
        this.#leaveEarly('its loop was left');
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
        cancel: () => this.#leaveEarly('its web stream was cancelled'),
      },
      { highWaterMark: 0 },
    );
  }

  /**
   * Reads the rest of the message. You own the bytes.
   *
   * @throws (rejects) TypeError when `bytes`, `text` or `json` has read it before.
   */
  bytes(): Promise<OwnedBytes> {
    if (this.#pieces.reading) return this.#rejectClash();
    if (this.#hasRest) {
      return this.#reject(new TypeError('the message was read before; keep the first result'));
    }
    return this.#rejectionIfFailed() ?? this.#whileReading(() => this.#bytes());
  }

  /** Reads the rest of the message as a string. */
  text(): Promise<string> {
    return markHandled(
      this.bytes().then((bytes) => this.#connection.platform.decodeUtf8(bytes, 0, bytes.length)),
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
      if (piece === undefined) {
        this.#hasRest = true;
        return length === all.length ? all : copyOf(all, 0, length);
      }
      if (length + piece.length > all.length) {
        // Doubling the array bounds the cost. On average, growth copies each byte at most twice.
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

  /** Returns a copy of the next piece for `holder`, which reads to the end of the message. */
  async #nextFor(holder: string): Promise<OwnedBytes | undefined> {
    const pieces = this.#pieces;
    if (pieces.reading) return this.#rejectClash();
    pieces.holder = holder;
    const piece = await this.#readAlone((queue) => queue.shift(), undefined);
    if (piece !== undefined) return copyOf(piece);
    pieces.holder = '';
    return undefined;
  }

  /** A loop was left, or a web stream was cancelled. */
  #leaveEarly(cause: string): void {
    this.#pieces.holder = '';
    this.#dropRest(cause);
  }

  /** Drops the unread rest of the message, unless a later read has already dropped it. */
  #dropRest(cause: string): void {
    const { inbox } = this.#connection;
    if (this.#pieces !== inbox.pieces) return;
    inbox.dropPieces(cause);
    inbox.run('reader');
  }

  /** Runs a read that must wait. Other reads of the message reject until it settles. */
  #whileReading<T>(read: () => Promise<T>): Promise<T> {
    this.#pieces.reading = true;
    return markHandled(
      read().finally(() => {
        this.#pieces.reading = false;
      }),
    );
  }

  /** Runs {@link #next} as the only read of the message. Bytes that arrive are written to `into`. */
  #readAlone<T>(take: (pieces: PieceQueue) => T, atEnd: T, into?: Uint8Array): Promise<T> {
    if (this.#pieces.reading) return this.#rejectClash();
    const failed = this.#rejectionIfFailed<T>();
    if (failed !== undefined) return failed;
    if (into !== undefined && this.#pieces.empty) this.#pieces.fillNext(into);
    this.#parseMore();
    if (this.#pieces.ready) return this.#next(take, atEnd);
    return this.#whileReading(() => this.#next(take, atEnd));
  }

  #rejectionIfFailed<T>(): Promise<T> | undefined {
    const { empty, failure } = this.#pieces;
    if (!empty || failure === undefined) return undefined;
    return rejected<T>(failure.reason);
  }

  /** Waits for a piece. Resolves to the result of `take`, or to `atEnd` after the last piece. */
  #next<T>(take: (pieces: PieceQueue) => T, atEnd: T): Promise<T> {
    const pieces = this.#pieces;
    // The login may have expired since the piece arrived.
    if (!pieces.empty) this.#connection.control?.checkExpiry();
    this.#parseMore();
    // Calls itself after the wait: a close may drop the piece before the callback runs.
    if (!pieces.ready) return pieces.news().then(() => this.#next(take, atEnd));
    if (!pieces.empty) return this.#take(take);
    return this.#rejectionIfFailed<T>() ?? Promise.resolve(atEnd);
  }

  /** Makes the connection parse more input, unless a piece has arrived. */
  #parseMore(): void {
    const pieces = this.#pieces;
    const { inbox } = this.#connection;
    if (!pieces.empty || pieces.over) return;
    if (pieces !== inbox.pieces) return pieces.finish(restDropped('a later read began'));
    if (inbox.ended !== undefined) return pieces.finish(inbox.ended);
    inbox.on(READ);
    inbox.run('reader');
  }

  #take<T>(take: (pieces: PieceQueue) => T): Promise<T> {
    try {
      const taken = take(this.#pieces);
      const { inbox } = this.#connection;
      if (this.#pieces === inbox.pieces) {
        inbox.gotPiece();
        inbox.run('reader');
      }
      return Promise.resolve(taken);
    } catch (error) {
      return this.#reject(error);
    }
  }

  /** Returns a rejected promise. Reports an error of the application to the option `report`. */
  #reject<T>(error: unknown): Promise<T> {
    if (isMistake(error)) fromCaller(error, this, 'read');
    this.#connection.reportMistake(error, 'read');
    return rejected(error);
  }

  #rejectClash<T>(): Promise<T> {
    return rejected<T>(new ReadPendingError('a read of the message', 'another'), this);
  }
}
