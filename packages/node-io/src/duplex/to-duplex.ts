import { addAbortSignal, Duplex } from 'node:stream';
import { CloseCode, type Conn, isCloseError } from '@ws/conn';
import {
  bytesOfView,
  checkOptionNames,
  chunkError,
  closeConfirmed,
  joinFor,
} from '@ws/conn/internal';

/** Options of {@link toDuplex}. */
export interface ToDuplexOptions {
  /** Bytes that the stream holds in each direction before it asks its users to wait. Default: Node's. */
  readonly highWaterMark?: number | undefined;
  /** Destroys the stream, and with it the connection, when it aborts. Default: none. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Returns a connection as a Duplex of bytes. A chunk that is written is a binary message. What is
 * read are the bytes of all messages, without their bounds. A large message comes in pieces.
 *
 * `end()` closes the connection after all chunks. It fails unless the peer answers the close frame with
 * its code: nothing else confirms the chunks. `destroy()` terminates the connection.
 *
 * The peer's own normal close (1000, 1001 or 1005) ends what is read, except within a message. Streams
 * that are piped into this one, and a loop over this one, can then still write, for half of the
 * connection's `closeTimeout`. As with a socket of Node, a listener of `data` cannot: its later writes
 * fail. The stream fails with the error of any other end.
 *
 * Other reads of the connection reject from then on. The bytes that you read are owned. Do not change a
 * chunk that you write until its callback: a server references 32 KiB or more.
 *
 * @throws TypeError, RangeError for a bad option; ReadPendingError for a second stream of `conn`.
 *
 * @example
 * ```ts
 * import { pipeline } from 'node:stream/promises';
 * import { connPair, toDuplex } from '@ws/node-server';
 *
 * const [client, server] = connPair();
 * const echo = toDuplex(server);
 * void pipeline(echo, echo);
 * const duplex = toDuplex(client);
 * duplex.write('hello');
 * duplex.once('data', (bytes: Buffer) => {
 *   console.log(bytes.toString()); // hello
 *   duplex.end();
 * });
 * ```
 */
export function toDuplex(conn: Conn, options: ToDuplexOptions = {}): Duplex {
  checkOptionNames('toDuplex', options, ['highWaterMark', 'signal'], 'ignore');
  return new ConnDuplex(conn, options);
}

class ConnDuplex extends Duplex {
  readonly #conn: Conn;
  readonly #pieces: AsyncIterator<Uint8Array>;
  /** Whether the peer's normal close has ended the stream. */
  #isReadToEnd = false;
  /** Number of streams that are piped into this one. */
  #sources = 0;
  /** Whether a loop reads the stream. It destroys the stream when it has handled the last bytes. */
  #hasLoop = false;
  #wroteLast!: () => void;

  constructor(conn: Conn, { highWaterMark, signal }: ToDuplexOptions) {
    super({ allowHalfOpen: false, ...(highWaterMark !== undefined && { highWaterMark }) });
    this.#conn = conn;
    // Throws for a second stream of the connection.
    this.#pieces = joinFor(conn, 'toDuplex');
    this.on('pipe', () => void this.#sources++).on('unpipe', () => void this.#sources--);
    const lastWrite = new Promise<void>((resolve) => (this.#wroteLast = resolve));
    conn['@ws/internals'].answerAfter(lastWrite);
    // Last: an aborted signal destroys the stream at once.
    if (signal !== undefined) addAbortSignal(signal, this);
  }

  override _read(): void {
    this.#pieces.next().then(
      ({ value }) => {
        const { buffer, byteOffset, byteLength } = value as Uint8Array;
        this.push(Buffer.from(buffer, byteOffset, byteLength));
      },
      (error: Error) => this.#ended(error),
    );
  }

  #ended(error: Error): void {
    const { NormalClosure, GoingAway, NoStatusReceived } = CloseCode;
    if (!isCloseError(error, NormalClosure, GoingAway, NoStatusReceived)) {
      this.destroy(error);
      return;
    }
    this.#isReadToEnd = true;
    // A stream reads ahead, so the last bytes are still on their way to the code that answers them. Code
    // that pipes by hand listens to 'drain'.
    this.allowHalfOpen = this.#sources > 0 || this.#hasLoop || this.listenerCount('drain') > 0;
    this.push(null);
    // A source that ends too late, or never.
    if (this.allowHalfOpen) void this.#endAtClose();
  }

  async #endAtClose(): Promise<void> {
    await this.#conn.closed;
    this.end();
  }

  override [Symbol.asyncIterator](): NodeJS.AsyncIterator<unknown> {
    this.#hasLoop = true;
    return super[Symbol.asyncIterator]() as NodeJS.AsyncIterator<unknown>;
  }

  override write(chunk: unknown, ...more: unknown[]): boolean {
    return super.write(plain(chunk), ...(more as [BufferEncoding]));
  }

  override end(chunk?: unknown, ...more: unknown[]): this {
    return super.end(plain(chunk), ...(more as [BufferEncoding]));
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    written: (error?: Error | null) => void,
  ): void {
    const conn = this.#conn;
    conn.send(chunk).then(
      () => written(),
      (error: unknown) => written(chunkError(conn, error) as Error),
    );
  }

  override _final(closed: (error?: Error | null) => void): void {
    this.#wroteLast();
    closeConfirmed(this.#conn, this.#isReadToEnd).then(() => closed(), closed);
  }

  override _destroy(cause: Error | null, destroyed: (error: Error | null) => void): void {
    const conn = this.#conn;
    this.#wroteLast();
    const isNormal = this.#isReadToEnd && isLeft(cause);
    if (!isNormal) conn.terminate();
    void conn.closed.then(() => destroyed(isNormal ? null : cause));
  }
}

/** Node makes a Buffer of other views by their properties, which may be wrong: it may have other memory. */
function plain(chunk: unknown): unknown {
  return ArrayBuffer.isView(chunk) && !(chunk instanceof Buffer) ? bytesOfView(chunk) : chunk;
}

/**
 * Whether a loop destroys a stream that it has read to the end. Node gives an AbortError, which unlike that
 * of a signal has no cause, if the other side of the stream is still open. The peer gets its answer then.
 */
function isLeft(cause: Error | null): boolean {
  return cause === null || (cause.name === 'AbortError' && cause.cause === undefined);
}
