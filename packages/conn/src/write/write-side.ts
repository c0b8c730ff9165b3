import { ContinuationFrame, type WebSocketError } from '@ws/codec';
import { isControl, utf8Length } from '@ws/codec/internal';
import { type Compressor, StreamCompressor } from '../deflate/compressor.ts';
import { SCRATCH } from '../deflate/engine-pool.ts';
import { TimeoutError } from '../errors.ts';
import type { DataType } from '../message.ts';
import { RSV1 } from '../platform/deflate-engine.ts';
import { LateRejection } from '../time/refusal.ts';
import { timersOf } from '../time/timers.ts';
import { BackgroundDeflate } from './background-deflate.ts';
import { WRITE_COST } from './backpressure.ts';
import {
  ChangedBytes,
  DetachedBytes,
  owned,
  type RetainedBytes,
  retain,
} from './copy-or-reference.ts';
import { IdleWriterAlarm } from './idle-writer-alarm.ts';
import { type FragmentSink, MessageWriter } from './message-writer.ts';
import { utf8 } from './payload.ts';
import type { PreparedMessage } from './prepared-message.ts';
import { SendQueue, type SendQueueOwner } from './send-queue.ts';
import { WriteQueue } from './write-queue.ts';

/** The connection of a write side. */
export interface WriteSideOwner extends SendQueueOwner {
  /** Present when permessage-deflate was agreed on. */
  readonly deflate: { readonly compressor: Compressor } | undefined;
  /** Reports an error that has no other trace. */
  report(error: unknown, where: string): void;
  /** Sends a control frame; a close frame starts the closing handshake. */
  control(type: number, payload: Uint8Array): Promise<void>;
  /** The last frame of a compressed message of several frames was accepted. */
  compressedStreamEnded(): void;
  /** A message that was partly sent cannot be completed: the connection fails. */
  writerBroken(reason: unknown): void;
}

/**
 * Takes the messages of the callers. A whole message goes to the send queue at once. The message is
 * compressed if compression was agreed on and makes it smaller. While a MessageWriter is open, or a
 * large message is compressed on another thread, messages wait in the write queue.
 */
export class WriteSide implements FragmentSink {
  readonly sendQueue: SendQueue;
  readonly #owner: WriteSideOwner;
  readonly #compressor: Compressor | undefined;
  /** Bytes of the open writer's writes that wait for its earlier writes. */
  held = 0;
  /** Number of the writes that `held` counts in bytes. */
  heldWrites = 0;
  #writer: MessageWriter | undefined;
  /** The compressor of the open writer's message, and the `compress` option of that writer. */
  #stream: StreamCompressor | undefined;
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

  constructor(owner: WriteSideOwner) {
    this.#owner = owner;
    this.#compressor = owner.deflate?.compressor;
    this.sendQueue = new SendQueue(owner);
  }

  /** A masked frame never refers to the caller's bytes, so a client copies them. */
  #copiesAll(): boolean {
    return this.#owner.shared.nextKey !== undefined;
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
      this.#mustWait(false) ||
      this.#stream !== undefined ||
      this.#flushing ||
      this.waitingBytes > 0;
    const queued = this.#queue?.empty === false || this.#skipQueue > 0;
    return !open && !queued && this.sendQueue.droppable;
  }

  /** Whether a compressed message of several frames is open. */
  get streamsCompressed(): boolean {
    return this.#stream !== undefined;
  }

  get error(): WebSocketError | undefined {
    return this.sendQueue.error;
  }

  get open(): boolean {
    return this.sendQueue.open;
  }

  /** Accepted bytes that the send queue does not have yet. */
  get waitingBytes(): number {
    return this.held + (this.#queue?.bytes ?? 0) + (this.#background?.size ?? 0);
  }

  /** {@link waitingBytes} plus the cost of each waiting write, for the limit of buffered bytes. */
  #waitingCost(): number {
    const queue = this.#queue;
    if (queue === undefined && this.heldWrites === 0) return this.waitingBytes;
    const writes = this.heldWrites + (queue === undefined ? 0 : queue.length);
    return this.waitingBytes + writes * WRITE_COST;
  }

  /** Charges a write that waits and whose caller watches a signal, until `written` settles. */
  charge(written: Promise<void>): void {
    if (written instanceof LateRejection) return;
    const { sendQueue } = this;
    sendQueue.charged += WRITE_COST;
    const free = (): void => {
      sendQueue.charged -= WRITE_COST;
    };
    written.then(free, free);
  }

  rejectionIfClosed(): LateRejection | undefined {
    return this.sendQueue.rejectionIfClosed();
  }

  rejectionFor(size: number): LateRejection | undefined {
    return this.sendQueue.rejectionFor(size, undefined, this.#waitingCost());
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
  text(
    type: DataType,
    text: string,
    compress: boolean | undefined,
    preaccepted = false,
  ): Promise<void> {
    const { sendQueue } = this;
    if (this.#mustWait(preaccepted)) {
      const rejection = sendQueue.rejectionFor(text.length, text, this.#waitingCost());
      if (rejection !== undefined) return rejection;
      return this.#enqueue(utf8Length(text), () => this.text(type, text, compress, true));
    }
    if (!this.#compressesText(text, compress)) return sendQueue.text(type, text, preaccepted);
    const rejection = preaccepted
      ? sendQueue.rejectionIfClosed()
      : sendQueue.rejectionFor(text.length, text, 0);
    if (rejection !== undefined) return rejection;
    const { plain } = this.#compressor!.engines;
    const { platform } = this.#owner.shared;
    if (text.length * 3 > SCRATCH) {
      const retained = owned(utf8(text, platform));
      return this.#compressAndSend(type, retained.bytes, 0, retained.end, retained);
    }
    return this.#compressAndSend(type, plain, 0, platform.writeUtf8(plain, 0, text));
  }

  /**
   * Sends `bytes[start, end)` as a whole message.
   *
   * @param retained - The same bytes, given when the message has waited in the write queue. Such a
   *   message was accepted earlier.
   */
  message(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
    retained?: RetainedBytes,
  ): Promise<void> {
    const { sendQueue } = this;
    const size = end - start;
    const preaccepted = retained !== undefined;
    if (this.#mustWait(preaccepted)) return this.#enqueueMessage(type, bytes, start, end, compress);
    if (!this.#compresses(size, compress))
      return sendQueue.message(type, bytes, start, end, preaccepted);
    // An engine would read beyond a detached or shrunk buffer and crash the process.
    if (end > bytes.byteLength) throw new DetachedBytes();
    const rejection = preaccepted
      ? sendQueue.rejectionIfClosed()
      : sendQueue.rejectionFor(size, undefined, 0);
    return rejection ?? this.#compressAndSend(type, bytes, start, end, retained);
  }

  #enqueueMessage(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
  ): Promise<void> {
    const size = end - start;
    const rejection = this.sendQueue.rejectionFor(size, undefined, this.#waitingCost());
    if (rejection !== undefined) return rejection;
    const retained = retain(bytes, start, end, this.#copiesAll());
    const send = (): Promise<void> => {
      try {
        retained.check?.();
        return this.message(type, retained.bytes, retained.start, retained.end, compress, retained);
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
   * {@link text}.
   */
  prepared(message: PreparedMessage, preaccepted = false): Promise<void> {
    const { bytes } = message;
    const type = message.type as DataType;
    const { length } = bytes;
    const compressor = this.#compressor;
    const { sendQueue } = this;
    const rejection = preaccepted
      ? sendQueue.rejectionIfClosed()
      : sendQueue.rejectionFor(length, undefined, this.#waitingCost());
    if (rejection !== undefined) return rejection;
    if (this.#mustWait(preaccepted))
      return this.#enqueue(length, () => this.prepared(message, true));
    if (compressor === undefined || !this.#compresses(length, undefined)) {
      return sendQueue.sendShared(type, bytes, 0, length);
    }
    const variant = variantOf(message, compressor);
    if (variant === undefined) return this.#compressInBackground(type, owned(bytes), message);
    if (variant.length === 0) return sendQueue.sendShared(type, bytes, 0, length);
    compressor.recordSent(bytes, 0, length);
    try {
      return sendQueue.sendShared(type, variant, RSV1, length);
    } catch (error) {
      compressor.forget();
      throw error;
    }
  }

  /** See {@link SendQueue.sendRun}. */
  sendRun(messages: readonly PreparedMessage[]): boolean {
    return (
      this.#compressor === undefined && !this.#mustWait(false) && this.sendQueue.sendRun(messages)
    );
  }

  #compresses(size: number, compress: boolean | undefined): boolean {
    return !this.#flushing && this.#compressor?.wants(size, compress) === true;
  }

  #compressesText(text: string, compress: boolean | undefined): boolean {
    // A UTF-16 unit has three bytes at most.
    if (!this.#compresses(text.length * 3, compress)) return false;
    return this.#compresses(text.length, compress) || this.#compresses(utf8Length(text), compress);
  }

  /** Compresses an accepted message, on this thread or, when it is large, on another one. */
  #compressAndSend(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    retained?: RetainedBytes,
  ): Promise<void> {
    const { sendQueue } = this;
    const compressor = this.#compressor!;
    if (compressor.isLarge(end - start)) {
      // A reference is released when the message leaves the write queue, so only a copy can be
      // reused.
      const ours =
        retained?.ours === true ? retained : retain(bytes, start, end, this.#copiesAll());
      return this.#compressInBackground(type, ours, undefined);
    }
    try {
      const size = compressor.deflate(bytes, start, end);
      if (size === 0) return sendQueue.message(type, bytes, start, end, true);
      return sendQueue.compressed(type, compressor.takeOutput(), 0, size, end - start);
    } catch (error) {
      compressor.forget();
      throw error;
    }
  }

  #compressInBackground(
    type: DataType,
    retained: RetainedBytes,
    prepared: PreparedMessage | undefined,
  ): Promise<void> {
    const background = new BackgroundDeflate(type, retained, this.sendQueue, this.#compressor!);
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

  /**
   * Opens a writer for the next message. An open writer is finished first, after its pending calls.
   * With `queue` this call waits until the owner of the open writer closes it.
   */
  nextWriter(type: number, queue: boolean, compress?: boolean): Promise<MessageWriter> {
    const rejection = this.rejectionIfClosed();
    if (rejection !== undefined) return rejection;
    const open = (): MessageWriter => {
      const { platform, slabs, settings } = this.#owner.shared;
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

  /** Whether a message of `size` bytes would be accepted now. */
  accepts(size: number): boolean {
    return this.sendQueue.accepts(size, this.#waitingCost());
  }

  fragment(
    opcode: number,
    fin: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): Promise<void> {
    if (isControl(opcode)) return this.#owner.control(opcode, bytes.subarray(start, end));
    if (opcode !== ContinuationFrame) this.#stream = this.#streamFor(fin, end - start);
    const stream = this.#stream;
    if (stream === undefined) return this.sendQueue.fragment(opcode, fin, bytes, start, end);
    const rsv = opcode === ContinuationFrame ? 0 : RSV1;
    try {
      const size = stream.fragment(bytes, start, end, fin);
      if (fin) this.#endStream();
      const sent = this.sendQueue.fragment(opcode, fin, stream.output, 0, size, end - start, rsv);
      this.sendQueue.markCompressed();
      return sent;
    } catch (error) {
      this.#compressor!.forget();
      throw error;
    }
  }

  /** Returns the compressor for a new message. Only the size of the first fragment is known. */
  #streamFor(fin: boolean, size: number): StreamCompressor | undefined {
    const compressor = this.#compressor;
    if (compressor === undefined) return undefined;
    const { threshold } = compressor.compression;
    if (!this.#compresses(fin ? size : Math.max(size, threshold), this.#compress)) return undefined;
    const engine = compressor.engines.deflaters.acquireForStream(compressor.key);
    return engine === undefined ? undefined : new StreamCompressor(compressor, engine);
  }

  #endStream(): void {
    this.#stream?.end();
    this.#stream = undefined;
  }

  complete(type: number, bytes: number): void {
    if (!isControl(type)) this.sendQueue.complete(type, bytes);
  }

  writerDone(writer: MessageWriter): void {
    if (this.#writer !== writer) return;
    this.#writer = undefined;
    this.#endStream();
    if (this.#compressor !== undefined) this.#owner.compressedStreamEnded();
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
        this.#owner.shared.platform.yield(() => this.#continue());
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
    this.#owner.reportMistake(error, where);
  }

  broken(reason: unknown): void {
    this.#owner.writerBroken(reason);
  }

  /** Fails the open writer and every queued write: the send queue accepts no message any more. */
  end(): void {
    const writer = this.#writer;
    const background = this.#background;
    this.#writer = undefined;
    this.#background = undefined;
    writer?.fail(this.error!);
    background?.drop(this.error!);
    this.#endStream();
    this.#idleAlarm?.stop();
    this.#queue?.rejectAll(this.error!);
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
      timersOf(this.#owner.shared.platform),
      () => {
        const message = this.#queue?.first;
        if (this.#writer === undefined || message === undefined) return undefined;
        return { writer: this.#writer, message };
      },
      (ms) => {
        const text = `a message has waited ${ms} ms for an idle MessageWriter; close() the writer`;
        this.#owner.report(new TimeoutError(text), 'nextWriter');
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
