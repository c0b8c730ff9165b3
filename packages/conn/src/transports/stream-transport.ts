import { checked, isBytes, lengthOf } from '@ws/codec/internal';
import { isError } from '../errors.ts';
import { copyOf } from '../memory/copy.ts';
import { portablePlatform } from '../platform/portable-platform.ts';
import type { Transport, TransportSink } from '../transport.ts';
import { kind } from '../validate.ts';

/** The part of a WHATWG `ReadableStream` of bytes that {@link streamTransport} uses. */
export interface ByteReadable {
  getReader(): {
    read(): Promise<{ readonly done: boolean; readonly value?: unknown }>;
    cancel(reason?: unknown): Promise<unknown>;
  };
}

/** The part of a WHATWG `WritableStream` of bytes that {@link streamTransport} uses. */
export interface ByteWritable {
  getWriter(): {
    write(chunk: Uint8Array): Promise<unknown>;
    close(): Promise<unknown>;
    abort(reason?: unknown): Promise<unknown>;
    releaseLock(): void;
    readonly closed: Promise<unknown>;
  };
}

/** Two streams of bytes, one for each direction. */
export interface StreamPair {
  readonly readable: ByteReadable;
  readonly writable: ByteWritable;
}

/** From this many unsent bytes on, writes wait for a drain. */
const HIGH_WATER_MARK = 65_536;

/** After this many chunks, timers and I/O run: a stream that is always ready delivers in microtasks. */
const CHUNKS_PER_TURN = 16;

/**
 * Makes a transport of two WHATWG streams of bytes, for example of a WebTransport stream, of
 * `Deno.connect`, or of Node's `Duplex.toWeb`.
 *
 * The connection may change the bytes of a chunk of `readable`, but keeps no chunk. If a second reader
 * gets the same chunks, for example after `tee`, pass a stream of copies. `writable` gets copies, which
 * it may keep.
 *
 * After an error of `writable`, the connection still reads `readable` to its end. It gives up after
 * `closeTimeout` in which no byte arrived and no message was read. A sink of your own reads on if it has
 * `writesFailed`, and destroys the transport when it has waited long enough.
 *
 * @param streams - Neither stream may have a reader or a writer yet.
 * @throws TypeError when a stream is missing or already has a reader or a writer.
 * @see https://streams.spec.whatwg.org/
 *
 * @example
 * ```ts
 * import { Conn, streamTransport } from '@ws/conn';
 *
 * const there = new TransformStream<Uint8Array, Uint8Array>();
 * const back = new TransformStream<Uint8Array, Uint8Array>();
 * const client = new Conn(
 *   streamTransport({ readable: back.readable, writable: there.writable }),
 *   { role: 'client' },
 * );
 * const server = new Conn(
 *   streamTransport({ readable: there.readable, writable: back.writable }),
 *   { role: 'server' },
 * );
 * const [message] = await Promise.all([server.readMessage(), client.send('hello')]);
 * console.log(message.text()); // hello
 * await Promise.all([client.close(), server.discardReads()]);
 * ```
 */
export function streamTransport(streams: StreamPair): Transport {
  return checked(() => transportOf(streams), streamTransport);
}

function transportOf(streams: StreamPair): Transport {
  if (typeof streams !== 'object' || streams === null) {
    throw new TypeError(`streamTransport: expected { readable, writable }, got ${kind(streams)}`);
  }
  const { readable, writable } = streams;
  if (typeof (readable as Partial<ByteReadable> | undefined)?.getReader !== 'function') {
    throw new TypeError(`readable: expected a ReadableStream, got ${kind(readable)}`);
  }
  if (typeof (writable as Partial<ByteWritable> | undefined)?.getWriter !== 'function') {
    throw new TypeError(`writable: expected a WritableStream, got ${kind(writable)}`);
  }
  const writer = writable.getWriter();
  try {
    return new StreamTransport(readable.getReader(), writer);
  } catch (error) {
    writer.releaseLock();
    throw error;
  }
}

type Reader = ReturnType<ByteReadable['getReader']>;
type Writer = ReturnType<ByteWritable['getWriter']>;

class StreamTransport implements Transport {
  readonly #reader: Reader;
  readonly #writer: Writer;
  #sink: TransportSink | undefined;
  #pendingBytes = 0;
  #writerWaits = false;
  #paused = false;
  #readEnded = false;
  #endRequested = false;
  #writeEnded = false;
  #closed = false;
  /** Whether the sink has got the close. */
  #reported = false;
  /** The first error of the writable. The readable is then read to its end. */
  #writeError: Error | undefined;
  /** Release functions of the chunks that came after that error: they count as unsent until the close. */
  readonly #unsent: (() => void)[] = [];
  /** Resolves the promise of {@link #resumed}. */
  #onResume: (() => void) | undefined;

  constructor(reader: Reader, writer: Writer) {
    this.#reader = reader;
    this.#writer = writer;
  }

  get bufferedAmount(): number {
    return this.#reported ? 0 : this.#pendingBytes;
  }

  start(sink: TransportSink): void {
    this.#sink = sink;
    // Reports an error of the stream while no write is pending.
    this.#writer.closed.catch((error: unknown) => this.#writeFailed(asError(error)));
    void this.#readAll();
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    if (this.#writeError !== undefined && !this.#reported) {
      this.#pendingBytes += lengthOf(chunk);
      if (release !== undefined) this.#unsent.push(release);
      return false;
    }
    if (!this.#closed && !this.#endRequested) void this.#write(copyOf(chunk));
    release?.();
    this.#writerWaits = this.bufferedAmount >= HIGH_WATER_MARK;
    return !this.#writerWaits;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#onResume?.();
  }

  end(): void {
    if (this.#endRequested || this.#closed) return;
    this.#endRequested = true;
    void this.#closeWriter();
  }

  destroy(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onResume?.();
    const reason = this.#writeError ?? error;
    // Does not wait, because a source may never finish its cancellation.
    ignoreResult(() => this.#reader.cancel(reason));
    ignoreResult(() => this.#writer.abort(reason));
    void this.#reportClose(reason);
  }

  /** Reports the close in a later microtask, never within a call of the connection. */
  async #reportClose(reason: Error | undefined): Promise<void> {
    await Promise.resolve();
    this.#sink?.close(reason);
    this.#reported = true;
    for (const release of this.#unsent) release();
  }

  /**
   * The peer no longer reads, for example after STOP_SENDING of WebTransport. Its bytes can still be
   * read. The close is reported at the end of the readable, or when the sink destroys the transport. A
   * sink that cannot learn of the error has no reason to destroy it, so it gets the close at once.
   */
  #writeFailed(error: Error): void {
    if (this.#closed || this.#writeError !== undefined) return;
    this.#writeError = error;
    const sink = this.#sink;
    if (this.#readEnded || sink?.writesFailed === undefined) return this.destroy(error);
    sink.writesFailed();
  }

  async #readAll(): Promise<void> {
    try {
      for (let chunks = 1; ; chunks++) {
        const { done, value } = await this.#reader.read();
        if (chunks % CHUNKS_PER_TURN === 0) await nextTurn();
        while (this.#paused && !this.#closed) await this.#resumed();
        if (this.#closed) return;
        if (done) break;
        this.#sink!.data(checkedChunk(value));
      }
    } catch (error) {
      this.destroy(asError(error));
      return;
    }
    this.#readEnded = true;
    this.#sink!.end();
    if (this.#writeError !== undefined) this.destroy();
    this.#closeIfEnded();
  }

  #resumed(): Promise<void> {
    return new Promise((resolve) => {
      this.#onResume = resolve;
    });
  }

  async #write(chunk: Uint8Array): Promise<void> {
    const { length } = chunk;
    this.#pendingBytes += length;
    try {
      await this.#writer.write(chunk);
    } catch (error) {
      return this.#writeFailed(asError(error));
    }
    this.#pendingBytes -= length;
    if (this.#closed || !this.#writerWaits || this.#pendingBytes >= HIGH_WATER_MARK) return;
    this.#writerWaits = false;
    this.#sink?.drain();
  }

  async #closeWriter(): Promise<void> {
    try {
      await this.#writer.close();
    } catch (error) {
      return this.#writeFailed(asError(error));
    }
    this.#writeEnded = true;
    this.#closeIfEnded();
  }

  #closeIfEnded(): void {
    if (this.#readEnded && this.#writeEnded) this.destroy();
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    portablePlatform.yield(resolve);
  });
}

/** Calls a method of a stream, and ignores its result and its errors. */
function ignoreResult(call: () => Promise<unknown>): void {
  void Promise.resolve()
    .then(call)
    .catch(() => {});
}

/** @throws TypeError for a chunk that is not bytes. */
function checkedChunk(chunk: unknown): Uint8Array {
  if (isBytes(chunk)) return chunk;
  throw new TypeError(`readable: expected chunks of Uint8Array, got ${kind(chunk)}`);
}

function asError(error: unknown): Error {
  if (isError(error)) return error;
  if (error === undefined) return new Error('a stream was aborted or cancelled without a reason');
  // `String` of an object may throw.
  return new Error(typeof error === 'string' ? error : kind(error), { cause: error });
}
