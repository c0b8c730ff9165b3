import { CloseCode, ContinuationFrame, type Extension } from '@ws/codec';
import { encoded, isControl, Lease, NO_BYTES, utf8Length } from '@ws/codec/internal';
import type { Compressor } from '../deflate/compressor.ts';
import { CloseError, CloseSentError, TimeoutError } from '../errors.ts';
import { COPY_BELOW } from '../memory/copy.ts';
import type { DataType } from '../message.ts';
import { RSV1 } from '../platform/deflate-engine.ts';
import { RESOLVED } from '../time/promises.ts';
import { LateRejection, rejectedLater } from '../time/refusal.ts';
import { timersOf } from '../time/timers.ts';
import { BackgroundDeflate } from '../write/background-deflate.ts';
import { hasRoom, overLimit, WRITE_COST } from '../write/backpressure.ts';
import {
  ChangedBytes,
  DetachedBytes,
  owned,
  type RetainedBytes,
  retain,
} from '../write/copy-or-reference.ts';
import { IdleWriterAlarm } from '../write/idle-writer-alarm.ts';
import { type FragmentSink, MessageWriter } from '../write/message-writer.ts';
import { utf8 } from '../write/payload.ts';
import type { PreparedMessage } from '../write/prepared-message.ts';
import type { WriteEnd } from '../write/write-end.ts';
import { WriteQueue } from '../write/write-queue.ts';
import type { Connection } from './connection.ts';
import { SendQueue } from './send-queue.ts';

/** First byte of the only frame of a message, without its opcode. */
const FIN = 0x80;
const OPCODE = 0x0f;

/**
 * Takes the messages of the callers. A whole message goes to the send queue at once. The message is
 * compressed if compression was agreed on and makes it smaller. While a MessageWriter is open, or a
 * large message is compressed on another thread, messages wait in the write queue.
 */
export class Writer implements FragmentSink {
  readonly sendQueue: SendQueue;
  readonly #connection: Connection;
  readonly #extension: Extension | undefined;
  /** Set when permessage-deflate is the only extension: other connections may send its results. */
  readonly #compressor: Compressor | undefined;
  /** Bytes of the open writer's writes that wait for its earlier writes. */
  held = 0;
  /** Number of the writes that `held` counts in bytes. */
  heldWrites = 0;
  /** Bytes that waiting calls with a signal are charged. */
  #charged = 0;
  #writer: MessageWriter | undefined;
  /** Whether the extension encodes the message of the open writer. */
  #encodesStream = false;
  /** The `compress` option of the open writer. */
  #compress: boolean | undefined;
  /** The large message that another thread compresses. */
  #background: BackgroundDeflate | undefined;
  /** The close frame is about to be sent: messages are no longer compressed. */
  #flushing = false;
  #queue: WriteQueue | undefined;
  /** Whether the queue is being sent, in this turn or in later ones. */
  #advancing = false;
  #idleAlarm: IdleWriterAlarm | undefined;
  /** Waiting calls of `nextWriter` without `queue`. Each of them finishes the writers before it. */
  #skipQueue = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
    const { extension, deflate } = connection;
    this.#extension = extension;
    this.#compressor = extension === deflate ? deflate?.compressor : undefined;
    this.sendQueue = new SendQueue(connection);
  }

  /** A masked frame never refers to the caller's bytes, so a client copies them. */
  #copiesAll(): boolean {
    return this.#connection.shared.nextKey !== undefined;
  }

  /** Whether an earlier message is under way. */
  #isBusy(): boolean {
    return this.#writer !== undefined || this.#background !== undefined;
  }

  /**
   * Whether a message must wait for earlier ones. While the queue is sent, a new message joins it:
   * an observer may write, and the rest may be sent in a later turn.
   */
  #mustWait(preaccepted: boolean): boolean {
    return this.#isBusy() || (this.#advancing && !preaccepted);
  }

  /** Whether a new write side could replace this one: no write is open or waits. */
  get droppable(): boolean {
    const open =
      this.#mustWait(false) || this.#encodesStream || this.#flushing || this.waitingBytes > 0;
    const queued = this.#queue?.empty === false || this.#skipQueue > 0;
    return !open && !queued && this.sendQueue.idle;
  }

  /** Whether an encoded message of several frames is open. */
  get streamsEncoded(): boolean {
    return this.#encodesStream;
  }

  /** Whether the connection has not ended. An expired write deadline does not end it. */
  get open(): boolean {
    return this.sendQueue.open;
  }

  /** Accepted bytes that the send queue does not have yet. */
  get waitingBytes(): number {
    return this.held + (this.#queue?.bytes ?? 0) + (this.#background?.size ?? 0);
  }

  /** Bytes that wait for the limit of buffered bytes: with the cost of each waiting write. */
  #waitingCost(): number {
    const queue = this.#queue;
    if (queue === undefined && this.heldWrites === 0) return this.waitingBytes + this.#charged;
    const writes = this.heldWrites + (queue === undefined ? 0 : queue.length);
    return this.waitingBytes + this.#charged + writes * WRITE_COST;
  }

  /** Charges a write that waits and whose caller watches a signal, until `written` settles. */
  charge(written: Promise<void>): void {
    if (written instanceof LateRejection) return;
    this.#charged += WRITE_COST;
    const free = (): void => {
      this.#charged -= WRITE_COST;
    };
    written.then(free, free);
  }

  /** A rejected promise when no message is accepted any more. */
  rejectionIfClosed(): LateRejection | undefined {
    const { writeEnd } = this.sendQueue;
    return writeEnd === undefined ? undefined : this.#rejectionAtEnd(writeEnd);
  }

  #rejectionAtEnd({ error, expired }: WriteEnd): LateRejection {
    // The write after the deadline ends the connection. The deadline itself does not.
    if (expired) this.#connection.abort(error);
    // The close has created the error. Its stack must name the late write instead.
    if (error instanceof CloseSentError || error instanceof CloseError) {
      Error.captureStackTrace?.(error);
    }
    return rejectedLater(this.#connection.platform, error);
  }

  /**
   * A rejected promise when a message must not be accepted.
   *
   * @param size - Size in bytes, or in UTF-16 units when `text` is given.
   */
  rejectionFor(size: number, text?: string): LateRejection | undefined {
    const { writeEnd } = this.sendQueue;
    if (writeEnd !== undefined) return this.#rejectionAtEnd(writeEnd);
    // A UTF-16 unit has three bytes at most. Only text close to the limit is measured.
    if (this.#hasRoom(text === undefined ? size : size * 3)) return undefined;
    const { settings } = this.#connection.shared;
    const buffered = this.sendQueue.bufferedAmount + this.#waitingCost();
    const error = overLimit(settings, buffered, size, text);
    return error === undefined ? undefined : this.#connection.refuseMessage(error);
  }

  /** Whether `size` more bytes may wait. Hands frames to the transport first when they may not. */
  #hasRoom(size: number): boolean {
    const { sendQueue } = this;
    const { settings } = this.#connection.shared;
    const waiting = this.#waitingCost();
    const unsent = waiting + sendQueue.frames.bytes;
    if (!sendQueue.blocked && size + unsent <= settings.maxBufferedAmount) return true;
    sendQueue.pump();
    return hasRoom(settings, sendQueue.bufferedAmount + waiting, size);
  }

  /** Whether a message of `size` bytes would be accepted now. */
  accepts(size: number): boolean {
    return this.sendQueue.writeEnd === undefined && this.#hasRoom(size);
  }

  /** Cancels the write that returned `promise`, if the write still waits. */
  giveUp(promise: Promise<unknown>, reason: unknown): void {
    const background = this.#background;
    if (background !== undefined && (background.queuedPromise ?? background.promise) === promise) {
      this.#background = undefined;
      background.drop(reason);
      this.#advance();
    } else this.#queue?.cancel(promise, reason);
  }

  /**
   * Sends a whole text message.
   *
   * @param compress - The option of the caller.
   * @param preaccepted - The message was accepted earlier and has waited in the write queue.
   */
  sendText(
    type: DataType,
    text: string,
    compress: boolean | undefined,
    preaccepted = false,
  ): Promise<void> {
    const { sendQueue } = this;
    const rejection = preaccepted ? this.rejectionIfClosed() : this.rejectionFor(text.length, text);
    if (rejection !== undefined) return rejection;
    if (this.#mustWait(preaccepted)) {
      return this.#enqueue(utf8Length(text), () => this.sendText(type, text, compress, true));
    }
    if (this.#encodesText(text, compress)) return this.#encodeText(type, text);
    return this.#accepted(type, text, sendQueue.textFrame(type, text));
  }

  /**
   * Sends `bytes[start, end)` as a whole message.
   *
   * @param retained - The same bytes, given when the message has waited in the write queue. Such a
   *   message was accepted earlier.
   * @param lease - The memory of the bytes, if they are a borrowed message.
   */
  sendBytes(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
    retained?: RetainedBytes,
    lease?: Lease,
  ): Promise<void> {
    const { sendQueue } = this;
    const size = end - start;
    const preaccepted = retained !== undefined;
    const rejection = preaccepted ? this.rejectionIfClosed() : this.rejectionFor(size);
    if (rejection !== undefined) return rejection;
    if (this.#mustWait(preaccepted)) return this.#enqueueMessage(type, bytes, start, end, compress);
    if (!this.#encodes(size, compress)) return this.#sendPlain(type, bytes, start, end, lease);
    // An engine would read beyond a detached or shrunk buffer and crash the process.
    if (end > bytes.byteLength) throw new DetachedBytes();
    return this.#encodeAndSend(type, bytes, start, end, retained);
  }

  /** Sends an accepted message, uncompressed. */
  #sendPlain(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    lease?: Lease,
  ): Promise<void> {
    const sent = this.sendQueue.callerFrame(FIN | type, bytes, start, end, lease);
    return this.#accepted(type, end - start, sent);
  }

  /**
   * Sends an accepted message that is compressed.
   *
   * @param bytes - The compressed variant is `bytes[0, size)`. Do not change it afterwards.
   * @param plain - Size of the message in bytes before it was compressed.
   */
  sendCompressed(type: DataType, bytes: Uint8Array, size: number, plain: number): Promise<void> {
    const { sendQueue } = this;
    const rejection = this.rejectionIfClosed();
    if (rejection !== undefined) return rejection;
    sendQueue.countEncoded(plain);
    return this.#accepted(type, plain, sendQueue.ownedFrame(FIN | RSV1 | type, bytes, 0, size));
  }

  /** Counts a message whose frames were accepted, and returns `sent`. */
  #accepted(type: number, size: number | string, sent: Promise<void>): Promise<void> {
    this.#connection.messagesOut++;
    if (this.#isObserved()) this.#observe(type, size);
    return sent;
  }

  #isObserved(): boolean {
    return this.#connection.shared.platform.observer?.messageOut !== undefined;
  }

  /** The message is accepted, so an error of the observer does not reject its write. */
  #observe(type: number, size: number | string): void {
    const connection = this.#connection;
    const bytes = typeof size === 'string' ? utf8Length(size) : size;
    connection.observe((observer) => observer.messageOut?.(connection.conn, type, bytes));
  }

  #enqueueMessage(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
  ): Promise<void> {
    const size = end - start;
    const retained = retain(bytes, start, end, this.#copiesAll());
    const send = (): Promise<void> => {
      try {
        retained.check?.();
        return this.sendBytes(
          type,
          retained.bytes,
          retained.start,
          retained.end,
          compress,
          retained,
        );
      } catch (error) {
        if (error instanceof ChangedBytes) this.sendQueue.bytesChanged(error);
        throw error;
      } finally {
        retained.release();
      }
    };
    return this.#enqueue(size, send, retained.release);
  }

  /**
   * Sends a prepared message, which caches its compressed variants; `preaccepted` as in
   * {@link sendText}.
   */
  sendPrepared(message: PreparedMessage, preaccepted = false): Promise<void> {
    const { bytes } = message;
    const type = message.type as DataType;
    const { length } = bytes;
    const compressor = this.#compressor;
    const { sendQueue } = this;
    const rejection = preaccepted ? this.rejectionIfClosed() : this.rejectionFor(length);
    if (rejection !== undefined) return rejection;
    if (this.#mustWait(preaccepted))
      return this.#enqueue(length, () => this.sendPrepared(message, true));
    const encodes = this.#encodes(length, undefined);
    if (encodes && compressor === undefined) return this.#encodeAndSend(type, bytes, 0, length);
    const variant = encodes ? variantOf(message, compressor!) : NO_BYTES;
    if (variant === undefined) return this.#compressInBackground(type, owned(bytes), message);
    if (variant.length === 0) {
      return this.#accepted(type, length, sendQueue.sharedFrame(FIN | type, bytes));
    }
    compressor!.recordSent(bytes, 0, length);
    try {
      sendQueue.countEncoded(length);
      return this.#accepted(type, length, sendQueue.sharedFrame(FIN | RSV1 | type, variant));
    } catch (error) {
      compressor!.forget();
      throw error;
    }
  }

  /** See {@link SendQueue.sharedRun}. */
  sendRun(messages: readonly PreparedMessage[]): boolean {
    const alone = this.#extension !== undefined || this.#mustWait(false) || this.#isObserved();
    if (alone || !this.sendQueue.sharedRun(messages)) return false;
    this.#connection.messagesOut += messages.length;
    return true;
  }

  /** Whether the extension changes a message. At the end of the connection, messages wait for none. */
  #encodes(size: number, compress: boolean | undefined): boolean {
    return this.#extension?.wants(size, this.#flushing ? false : compress) === true;
  }

  #encodesText(text: string, compress: boolean | undefined): boolean {
    // A UTF-16 unit has three bytes at most.
    if (!this.#encodes(text.length * 3, compress)) return false;
    // Counting the bytes takes long, so it comes last. Several extensions need the exact size.
    if (this.#compressor !== undefined && this.#encodes(text.length, compress)) return true;
    return this.#encodes(utf8Length(text), compress);
  }

  #encodeText(type: DataType, text: string): Promise<void> {
    const { platform } = this.#connection.shared;
    const most = text.length * 3;
    if (most >= COPY_BELOW) {
      const retained = owned(utf8(text, platform));
      return this.#encodeAndSend(type, retained.bytes, 0, retained.end, retained);
    }
    const { bytes, release } = Lease.acquire(most);
    try {
      return this.#encodeAndSend(type, bytes, 0, platform.writeUtf8(bytes, 0, text));
    } finally {
      release();
    }
  }

  /** Encodes an accepted message, on this thread or, when it is large, on another one. */
  #encodeAndSend(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    retained?: RetainedBytes,
  ): Promise<void> {
    if (this.#compressor?.isLarge(end - start) === true) {
      // A reference is released when the message leaves the write queue, so only a copy can be
      // reused.
      const ours =
        retained?.ours === true ? retained : retain(bytes, start, end, this.#copiesAll());
      return this.#compressInBackground(type, ours, undefined);
    }
    const extension = this.#extension!;
    let done = false;
    let sent: Promise<void>;
    try {
      const size = encoded(extension.encode(bytes, start, end, true, true), extension, true);
      if (size < 0) {
        done = true;
        return this.#sendPlain(type, bytes, start, end);
      }
      const { output, sentRsv = extension.rsv } = extension;
      this.sendQueue.countEncoded(end - start);
      sent = this.sendQueue.copiedFrame(FIN | sentRsv | type, output, 0, size);
      done = true;
    } finally {
      extension.endOutput(done);
    }
    return this.#accepted(type, end - start, sent);
  }

  #compressInBackground(
    type: DataType,
    retained: RetainedBytes,
    prepared: PreparedMessage | undefined,
  ): Promise<void> {
    const compressor = this.#compressor!;
    const background = new BackgroundDeflate(retained, compressor, (variant, plain) => {
      return this.#sendDeflated(type, variant, plain, compressor);
    });
    this.#background = background;
    try {
      background.begin(prepared, () => {
        this.#background = undefined;
        this.#advance();
      });
    } catch {
      // No thread is available: the message is sent uncompressed.
      this.#background = undefined;
      background.sendPlain();
    }
    return background.promise;
  }

  #sendDeflated(
    type: DataType,
    variant: Uint8Array | undefined,
    { bytes, start, end, check }: RetainedBytes,
    compressor: Compressor,
  ): Promise<void> {
    try {
      check?.();
      if (end > bytes.byteLength) throw new DetachedBytes();
      if (variant === undefined || variant.length === 0 || variant.length >= end - start) {
        return this.rejectionIfClosed() ?? this.#sendPlain(type, bytes, start, end);
      }
      compressor.recordSent(bytes, start, end);
      return this.sendCompressed(type, variant, variant.length, end - start);
    } catch (error) {
      compressor.forget();
      if (error instanceof ChangedBytes) this.sendQueue.bytesChanged(error);
      else this.reportMistake(error, 'writeMessage');
      throw error;
    }
  }

  /**
   * Opens a writer for the next message. An open writer is finished first, after its pending calls.
   * With `queue` this call waits until the owner of the open writer closes it.
   */
  nextWriter(type: number, queue: boolean, compress?: boolean): Promise<MessageWriter> {
    const rejection = this.rejectionIfClosed();
    if (rejection !== undefined) return rejection;
    const open = (): MessageWriter => {
      const { platform, slabs, settings } = this.#connection.shared;
      const writer = new MessageWriter(type, this, platform, slabs, settings.writeBufferSize);
      this.#writer = writer;
      this.#compress = compress;
      return writer;
    };
    const openInTurn = (): MessageWriter => {
      const writer = open();
      // A waiting call without `queue` finishes this writer as soon as the writer is open.
      if (this.#skipQueue > 0) writer.supersede();
      return writer;
    };
    const before = this.#writer;
    if (!this.#mustWait(false)) return Promise.resolve(open());
    const tooMany = this.rejectionFor(0);
    if (tooMany !== undefined) return tooMany;
    if (queue) return this.#enqueue(0, openInTurn);
    this.#skipQueue++;
    let waits = true;
    const started = (): void => {
      if (waits) this.#skipQueue--;
      waits = false;
    };
    const opened = this.#enqueue(
      0,
      () => {
        started();
        return openInTurn();
      },
      started,
    );
    before?.supersede();
    return opened;
  }

  /**
   * Resolves when the next message may have room: after an earlier message, or at a drain.
   * Undefined when it has room now. Rejects at the end.
   */
  untilWritable(): Promise<void> | undefined {
    return this.#mustWait(false) ? this.#enqueue(0, () => {}) : this.sendQueue.untilDrained();
  }

  /** Whether messages wait for a compressor and for nothing else, and `size` more bytes may wait. */
  compresses(size: number): boolean {
    return this.#background !== undefined && !this.sendQueue.blocked && this.accepts(size);
  }

  /** Calls `send`, whose messages stay uncompressed and follow those that wait for a compressor. */
  sendUncompressed(send: () => void): void {
    const wasFlushing = this.#flushing;
    this.sendAccepted();
    try {
      send();
    } finally {
      this.#flushing = wasFlushing;
    }
  }

  fragment(
    opcode: number,
    fin: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): Promise<void> {
    if (isControl(opcode)) return this.#connection.control(opcode, bytes.subarray(start, end));
    const first = opcode !== ContinuationFrame;
    const b0 = (fin ? FIN : 0) | opcode;
    // Only the size of the first fragment is known.
    if (first) this.#encodesStream = this.#encodes(fin ? end - start : Infinity, this.#compress);
    // Copied: the writer uses its buffer again at once.
    if (!this.#encodesStream) return this.sendQueue.copiedFrame(b0, bytes, start, end);
    try {
      return this.#encodeFragment(b0, bytes, start, end);
    } catch (error) {
      this.#endStream(false);
      throw error;
    }
  }

  #encodeFragment(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const { sendQueue } = this;
    const extension = this.#extension!;
    const first = (b0 & OPCODE) !== ContinuationFrame;
    const fin = b0 >= FIN;
    const size = encoded(extension.encode(bytes, start, end, first, fin), extension, first);
    if (size < 0) {
      this.#endStream(true);
      return sendQueue.copiedFrame(b0, bytes, start, end);
    }
    const { output, sentRsv = extension.rsv } = extension;
    sendQueue.countEncoded(end - start);
    const sent = sendQueue.copiedFrame(first ? b0 | sentRsv : b0, output, 0, size);
    sendQueue.markEncoded();
    if (fin) this.#endStream(true);
    return sent;
  }

  /** @param sent - Whether the message is sent to its end, or was left as it is. */
  #endStream(sent: boolean): void {
    if (!this.#encodesStream) return;
    this.#encodesStream = false;
    try {
      this.#extension!.endOutput(sent);
    } catch (error) {
      // The connection may be about to end.
      this.#connection.report(error, 'extension');
    }
  }

  complete(type: number, bytes: number): void {
    if (!isControl(type)) void this.#accepted(type, bytes, RESOLVED);
  }

  writerDone(writer: MessageWriter): void {
    if (this.#writer !== writer) return;
    this.#writer = undefined;
    this.#endStream(false);
    if (this.#extension !== undefined) this.#connection.encodedStreamEnded();
    this.#idleAlarm?.stop();
    this.#advance();
    this.#idleAlarm?.start();
  }

  /** Sends the waiting messages: as many as fit in this turn, and the rest in later turns. */
  #advance(): void {
    const queue = this.#queue;
    if (queue === undefined || this.#advancing) return;
    this.#advancing = true;
    while (!this.#isBusy() && !queue.empty) {
      if (!this.#flushing && this.sendQueue.turnFull) {
        this.#connection.shared.platform.yield(() => this.#continue());
        return;
      }
      queue.advance();
    }
    this.#advancing = false;
  }

  #continue(): void {
    this.sendQueue.resetBudget();
    this.#advancing = false;
    this.#advance();
  }

  /**
   * Sends all accepted messages, so that the close frame can follow. Messages that are not
   * compressed yet are sent uncompressed.
   */
  sendAccepted(): void {
    this.#flushing = true;
    const background = this.#background;
    this.#background = undefined;
    background?.sendPlain();
    // Also when the rest of the queue waits for a later turn.
    this.#advancing = false;
    this.#advance();
  }

  reportMistake(error: unknown, where: string): void {
    this.#connection.reportMistake(error, where);
  }

  broken(reason: unknown): void {
    this.#connection.fail(reason, CloseCode.InternalServerErr, '');
  }

  /** Rejects the open writer and every waiting write: the send queue accepts no message any more. */
  rejectWaiting(): void {
    const writer = this.#writer;
    const background = this.#background;
    this.#writer = undefined;
    this.#background = undefined;
    const end = this.sendQueue.writeEnd!;
    writer?.fail(end.error);
    background?.drop(end.error);
    this.#endStream(false);
    this.#idleAlarm?.stop();
    if (this.#queue?.empty === false) this.#queue.rejectAll(end.error);
  }

  #enqueue<T>(size: number, start: () => T | PromiseLike<T>, drop?: () => void): Promise<T> {
    this.#queue ??= new WriteQueue((error) => this.reportMistake(error, 'writeMessage'));
    const begin = (): T | PromiseLike<T> => {
      const begun = start();
      // The caller has the promise of the queued write. Cancelling that promise must also cancel
      // the background compression of its message.
      if (this.#background !== undefined && this.#background.promise === begun)
        this.#background.queuedPromise = queued;
      return begun;
    };
    const queued = this.#queue.enqueue(size, begin, drop);
    if (this.#writer !== undefined) this.#watchWriter();
    return queued;
  }

  #watchWriter(): void {
    this.#idleAlarm ??= new IdleWriterAlarm(
      timersOf(this.#connection.shared.platform),
      () => {
        const message = this.#queue?.first;
        if (this.#writer === undefined || message === undefined) return undefined;
        return { writer: this.#writer, message };
      },
      (ms) => {
        const text = `a message has waited ${ms} ms for an idle MessageWriter; close() the writer`;
        this.#connection.report(new TimeoutError(text), 'nextWriter');
      },
    );
    this.#idleAlarm.start();
  }
}

/**
 * Returns {@link PreparedMessage.variant}. The variant is also empty when compressing fails for
 * lack of memory.
 */
function variantOf(message: PreparedMessage, compressor: Compressor): Uint8Array | undefined {
  try {
    return message.variant(compressor);
  } catch {
    return new Uint8Array(0);
  }
}
