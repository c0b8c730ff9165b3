import { ContinuationFrame, type Extension, type Slab } from '@ws/codec';
import {
  fromCaller,
  isMistake,
  Lease,
  lengthOf,
  MAX_CONTROL_PAYLOAD,
  NO_BYTES,
  viewOf,
} from '@ws/codec/internal';
import { WriteClosedError } from '../errors.ts';
import { COPY_BELOW, copyOf } from '../memory/copy.ts';
import type { Settings } from '../options/conn-options.ts';
import type { Platform } from '../platform/platform.ts';
import { CallPromise } from '../time/call-promise.ts';
import { markHandled, RESOLVED, rejected } from '../time/promises.ts';
import { encodePart, outputRsv } from '../writing/encoding.ts';
import { FIN } from '../writing/fragments.ts';
import {
  bytesOf,
  isControlType,
  type MessageData,
  SurrogatePairs,
  utf8,
} from '../writing/payload.ts';
import { PendingBytesMistake } from '../writing/pending-bytes.ts';
import { codeAfterError } from './end-errors.ts';

/** The part of a connection that a writer uses. */
type Writing = {
  readonly extension: Extension | undefined;
  readonly settings: Settings;
  readonly platform: Platform;
  readonly machine: { readonly bytesOut: number };
  readonly shared: {
    writeMemory(settings: Settings): { readonly slabs: { take(size: number): Slab } };
  };
  readonly outbox: {
    readonly open: boolean;
    countEncoded(bytes: number): void;
    rejectionIfClosed(): Promise<never> | undefined;
    rejectionFor(size: number): Promise<never> | undefined;
    countMessage(type: number, size: number): void;
    copiedFrame(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void>;
  };
  sendControl(type: number, payload: Uint8Array): Promise<void>;
  fail(error: unknown, code: number, reason: string): void;
  report(error: unknown, where: string): void;
  reportMistake(error: unknown, where: string): void;
};

/** The part of a queue of writes that its open writer uses. */
type WriterQueue = {
  encodedEnd: number;
  countUntil(written: Promise<void>, bytes: number): void;
  writerDone(writer: MessageWriter): void;
};

/**
 * Writes one message as a stream. Each fragment has `writeBufferSize` bytes of payload and is sent
 * when more data follows. `close()` sends the last fragment. Pings, pongs and a close frame may be
 * sent between two fragments. Other messages wait until the writer is closed (RFC 6455, section 5.4).
 *
 * @example
 * ```ts
 * import { connPair, TextMessage } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * const writer = await client.nextWriter(TextMessage);
 * await writer.write('one message ');
 * await writer.write('of two writes');
 * await writer.close();
 * console.log((await server.readMessage()).text()); // one message of two writes
 * ```
 */
export class MessageWriter implements AsyncDisposable {
  readonly #connection: Writing;
  readonly #queue: WriterQueue;
  /** The option of the caller. */
  readonly #compress: boolean | undefined;
  readonly #fragmentSize: number;
  readonly #type: number;
  #opcode: number;
  /** The write buffer, leased from the first buffered byte until the message ends. */
  #slab: Slab | undefined;
  /** Number of buffered bytes. */
  #fill = 0;
  /** @internal Number of calls of {@link write}. */
  calls = 0;
  /** @internal Whether the extension encodes the message. */
  isEncoding = false;
  readonly #pairs = new SurrogatePairs();
  #fragmentSent = false;
  /** Whether the last fragment was sent. */
  #complete = false;
  /** Whether this writer has reported that it is done, or has failed the connection. */
  #reportedDone = false;
  /** Bytes of the message that were sent. */
  #bytesSent = 0;
  /** Why no call is accepted any more. */
  #endReason: unknown;
  #pending: Promise<void> | undefined;
  /** The controller of {@link writable}. */
  #stream: { error(reason: unknown): void } | undefined;

  /** @internal */
  constructor(
    type: number,
    compress: boolean | undefined,
    connection: Writing,
    queue: WriterQueue,
  ) {
    const { fragmentationThreshold, writeBufferSize } = connection.settings.writing;
    this.#type = type;
    this.#opcode = type;
    this.#connection = connection;
    this.#queue = queue;
    this.#compress = compress;
    // RFC 6455, section 5.5: a control frame is never fragmented.
    this.#fragmentSize = isControlType(type)
      ? MAX_CONTROL_PAYLOAD
      : Math.min(writeBufferSize, fragmentationThreshold);
  }

  /**
   * Adds data to the message.
   *
   * @param data - A string (lone surrogates become U+FFFD; a pair may be split over two calls), an
   *   ArrayBuffer or any view. Do not change bytes until the promise settles. The library keeps the
   *   bytes of a {@link BorrowedMessage} until then. Empty data sends nothing.
   * @returns A promise that resolves when the data was taken and there is room for more. Calls may
   *   overlap, and keep their order. A call that fails aborts the message as {@link abort} does:
   *   otherwise the peer would get a message without the data of that call. Only a TypeError for other
   *   data leaves the message unchanged.
   * @throws (rejects) {@link WriteClosedError} after `close`, `abort` or a later `nextWriter`;
   *   {@link CloseSentError} after a close frame; the error that ended the connection;
   *   {@link BackpressureError} when too many bytes wait; TypeError for other data; RangeError for
   *   more than 125 bytes of a control frame.
   */
  write(data: MessageData): Promise<void> {
    this.calls++;
    try {
      const waits = this.#pending !== undefined;
      // A text with more UTF-16 units than the limit has bytes is rejected before it is encoded.
      const units = waits && typeof data === 'string' ? data.length : 0;
      const early = units > 0 ? this.#rejectionFor(units) : undefined;
      if (early !== undefined) return early;
      let bytes = this.#bytesOf(data);
      const length = lengthOf(bytes);
      // An empty write that waits needs no memory of its own.
      const adds = waits && length > 0;
      const rejection = adds ? this.#rejectionFor(length) : this.#rejectionIfClosed();
      if (rejection !== undefined) return rejection;
      if (length === 0) return this.#pending ?? RESOLVED;
      if (waits && units === 0) bytes = ownedIfShort(bytes, 0, length);
      const written = this.#after(() => this.#put(bytes, 0, length));
      if (written === RESOLVED) return RESOLVED;
      if (waits) this.#queue.countUntil(written, length);
      pinUntil(bytes, written);
      return this.#abortOnFailure(written);
    } catch (error) {
      if (isMistake(error)) fromCaller(error, this, 'write');
      this.#connection.reportMistake(error, 'MessageWriter');
      return rejected(error);
    }
  }

  /**
   * Ends the message: sends the write buffer as its last fragment, which may be empty.
   *
   * @returns A promise that resolves when the fragment was accepted, as the promise of
   *   {@link write} does.
   * @throws (rejects) as {@link write}.
   */
  close(): Promise<void> {
    const closed = this.#rejectionIfClosed();
    if (closed !== undefined) return closed;
    this.#endReason = new WriteClosedError();
    return this.#abortOnFailure(
      this.#after(() => {
        if (this.#pairs.half === '') return this.#finish();
        const half = utf8(this.#pairs.takeRest(), this.#connection.platform);
        const put = this.#put(half, 0, half.length);
        return put === RESOLVED ? this.#finish() : put.then(() => this.#finish());
      }),
    );
  }

  #finish(): Promise<void> {
    const sent = this.#flush(true);
    if (this.#complete) this.#reportDone();
    return sent;
  }

  /**
   * Aborts the message. If no fragment was sent, the peer gets nothing. Otherwise the peer has an
   * incomplete message, so the connection fails with 1011. Has no effect after `close()`.
   *
   * @param reason - The error of the connection when it fails. Pending calls then reject with
   *   {@link CloseSentError}. Default: {@link WriteClosedError}.
   */
  abort(reason: unknown = new WriteClosedError()): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = new WriteClosedError();
    this.#giveUp(reason);
  }

  /**
   * The message as a WritableStream, for `pipeTo` and for `pipeline` of node:stream. An abort of
   * the stream, or a chunk that is neither a string nor bytes, calls {@link abort}. The stream
   * fails when the connection ends.
   */
  writable(): WritableStream<MessageData> {
    return new WritableStream<MessageData>({
      start: (controller) => {
        this.#stream = controller;
        const { signal } = controller;
        // An abort takes effect at once, even while a write waits for a peer that does not read.
        signal.addEventListener('abort', () => this.abort(signal.reason));
      },
      write: (chunk) =>
        this.write(chunk).catch((error: unknown) => {
          // The stream fails with this error, and never calls `close`.
          this.abort(error);
          throw error;
        }),
      close: () => this.close(),
    });
  }

  /** Calls {@link close} if the writer is still open: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#endReason === undefined ? this.close() : RESOLVED;
  }

  /** @internal Whether no call is pending. */
  get idle(): boolean {
    return this.#pending === undefined;
  }

  /** @internal Finishes the message after its pending calls, because a later `nextWriter` waits. */
  supersede(): void {
    if (this.#endReason === undefined) void this.close();
  }

  /** @internal Ends the writer: the connection accepts no further message. */
  fail(error: unknown): void {
    this.#releaseSlab();
    if (this.#endReason === undefined) {
      this.#endReason = error;
      // Without a pending call, only its controller can end the stream.
      this.#stream?.error(error);
    }
    this.#endEncoding(false);
  }

  #rejectionIfClosed(): Promise<void> | undefined {
    if (this.#endReason === undefined) return this.#connection.outbox.rejectionIfClosed();
    return rejected(this.#endReason);
  }

  /** A rejected promise when the limits refuse `size` more bytes. Aborts the message then. */
  #rejectionFor(size: number): Promise<void> | undefined {
    const closed = this.#rejectionIfClosed();
    if (closed !== undefined) return closed;
    const rejection = this.#connection.outbox.rejectionFor(size);
    if (rejection === undefined) return undefined;
    // Gives up at once: a later call in this turn must not complete the message without this write.
    if (rejection instanceof CallPromise) this.#giveUp(rejection.reason);
    return rejection;
  }

  /** Aborts the message when `call` fails. */
  #abortOnFailure(call: Promise<void>): Promise<void> {
    if (call !== RESOLVED) {
      call.then(undefined, (error: unknown) => {
        this.#connection.reportMistake(error, 'MessageWriter');
        this.#giveUp(error);
      });
    }
    return call;
  }

  /** Gives up the message, and fails the connection if a fragment was sent. */
  #giveUp(reason: unknown): void {
    this.#endReason ??= reason;
    if (this.#reportedDone) return;
    // No other message may follow an incomplete message, so the connection fails. The end of the
    // connection rejects the queued writes.
    if (!this.#fragmentSent) this.#reportDone();
    else if (this.#connection.outbox.open) {
      this.#reportedDone = true;
      this.#releaseSlab();
      this.#connection.fail(reason, codeAfterError(reason), '');
    }
  }

  #bytesOf(data: MessageData): Uint8Array {
    if (typeof data === 'string') return utf8(this.#pairs.join(data), this.#connection.platform);
    const bytes = bytesOf(data, 'write');
    const length = lengthOf(bytes);
    if (this.#pairs.half === '' || length === 0) return bytes;
    const half = utf8(this.#pairs.takeRest(), this.#connection.platform);
    const both = new Uint8Array(half.length + length);
    both.set(half);
    both.set(bytes, half.length);
    return both;
  }

  /** Runs `step` after the earlier calls. */
  #after(step: () => Promise<void>): Promise<void> {
    const before = this.#pending;
    const pending = before === undefined ? this.#attempt(step) : before.then(step);
    if (pending === RESOLVED) return RESOLVED;
    this.#pending = markHandled(pending);
    const idle = (): void => {
      if (this.#pending === pending) this.#pending = undefined;
    };
    pending.then(idle, idle);
    return pending;
  }

  /**
   * Runs `step`. Returns a rejected promise when `step` throws, for example the error of a buffer
   * pool.
   */
  #attempt(step: () => Promise<void>): Promise<void> {
    try {
      return step();
    } catch (error) {
      return rejected(error, this);
    }
  }

  /** Adds `bytes[at, length)`, fragment by fragment. */
  #put(bytes: Uint8Array, at: number, length: number): Promise<void> {
    let from = at;
    while (from < length) {
      const rejection = this.#connection.outbox.rejectionIfClosed();
      if (rejection !== undefined) return rejection;
      if (lengthOf(bytes) < length) return rejected(new PendingBytesMistake());
      if (isControlType(this.#type) && this.#fill + length - from > MAX_CONTROL_PAYLOAD)
        return this.#tooLong();
      if (this.#fill === this.#fragmentSize) {
        const sent = this.#flush(false);
        if (sent !== RESOLVED) return this.#putAfter(sent, bytes, from, length);
      }
      if (this.#fill === 0 && length - from > this.#fragmentSize) {
        const end = from + this.#fragmentSize;
        const sent = this.#fragment(false, bytes, from, end);
        if (sent !== RESOLVED) return this.#putAfter(sent, bytes, end, length);
        from = end;
        continue;
      }
      const n = Math.min(this.#fragmentSize - this.#fill, length - from);
      this.#slab ??= this.#takeSlab();
      this.#slab.bytes.set(viewOf(bytes, from, from + n), this.#fill);
      this.#fill += n;
      from += n;
    }
    return RESOLVED;
  }

  #takeSlab(): Slab {
    const { settings, shared } = this.#connection;
    return shared.writeMemory(settings).slabs.take(this.#fragmentSize);
  }

  /** Adds `bytes[at, length)` once an earlier fragment is sent. */
  #putAfter(sent: Promise<void>, bytes: Uint8Array, at: number, length: number): Promise<void> {
    const rest = ownedIfShort(bytes, at, length);
    const start = rest === bytes ? at : 0;
    return sent.then(() => this.#put(rest, start, start + length - at));
  }

  /**
   * Rejects the write of a control frame that is too long. The frame is never sent, and the
   * connection stays usable.
   */
  #tooLong(): Promise<void> {
    return rejected(
      new RangeError('websocket: invalid control frame: more than 125 bytes of payload'),
    );
  }

  #flush(fin: boolean): Promise<void> {
    const sent = this.#fragment(fin, this.#slab?.bytes ?? NO_BYTES, 0, this.#fill);
    this.#fill = 0;
    return sent;
  }

  #fragment(fin: boolean, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const rejection = this.#connection.outbox.rejectionIfClosed();
    if (rejection !== undefined) return rejection;
    if (isControlType(this.#type)) {
      const sent = this.#connection.sendControl(this.#type, viewOf(bytes, start, end));
      this.#complete = fin;
      return sent;
    }
    const sent = this.#send(fin, bytes, start, end);
    this.#complete = fin;
    this.#opcode = ContinuationFrame;
    this.#fragmentSent = true;
    this.#bytesSent += end - start;
    if (fin) this.#connection.outbox.countMessage(this.#type, this.#bytesSent);
    return sent;
  }

  /** Sends a fragment. Copies the bytes: the buffer is used again at once. */
  #send(fin: boolean, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const { extension, outbox } = this.#connection;
    const first = this.#opcode !== ContinuationFrame;
    if (first) {
      // The size of the message is unknown, unless the first fragment is the last one.
      const size = fin ? end - start : Infinity;
      this.isEncoding = extension?.wants(size, this.#compress) === true;
    }
    const b0 = (fin ? FIN : 0) | this.#opcode;
    if (!this.isEncoding) return outbox.copiedFrame(b0, bytes, start, end);
    try {
      return this.#sendEncoded(extension!, b0, first, bytes, start, end);
    } catch (error) {
      this.#endEncoding(false);
      throw error;
    }
  }

  #sendEncoded(
    extension: Extension,
    b0: number,
    first: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): Promise<void> {
    const { machine, outbox } = this.#connection;
    const fin = b0 >= FIN;
    const size = encodePart(extension, bytes, start, end, first, fin);
    if (size < 0) {
      this.#endEncoding(true);
      return outbox.copiedFrame(b0, bytes, start, end);
    }
    outbox.countEncoded(end - start);
    const sent = outbox.copiedFrame(
      first ? b0 | outputRsv(extension) : b0,
      extension.output,
      0,
      size,
    );
    this.#queue.encodedEnd = machine.bytesOut;
    if (fin) this.#endEncoding(true);
    return sent;
  }

  /** @param sent - Whether the whole message was sent. Otherwise the message was aborted. */
  #endEncoding(sent: boolean): void {
    if (!this.isEncoding) return;
    this.isEncoding = false;
    try {
      this.#connection.extension!.endOutput(sent);
    } catch (error) {
      // The connection may be about to end.
      this.#connection.report(error, 'extension');
    }
  }

  #reportDone(): void {
    if (this.#reportedDone) return;
    this.#reportedDone = true;
    this.#releaseSlab();
    this.#endEncoding(false);
    this.#queue.writerDone(this);
  }

  #releaseSlab(): void {
    const slab = this.#slab;
    this.#slab = undefined;
    this.#fill = 0;
    slab?.release();
  }
}

/**
 * Returns bytes for a waiting write: a copy of fewer than 32 KiB. A small message of a `receive`
 * handler shares its memory with later messages, and a waiting write must not keep that memory.
 */
function ownedIfShort(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return end - start < COPY_BELOW ? copyOf(bytes, start, end) : bytes;
}

/** Keeps the memory of a borrowed message from reuse until its bytes are written. */
function pinUntil(bytes: Uint8Array, written: Promise<void>): void {
  const lease = Lease.holding(bytes);
  if (lease === undefined) return;
  lease.pin();
  written.then(lease.release, lease.release);
}
