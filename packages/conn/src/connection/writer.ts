import { CloseCode } from '@ws/codec';
import { isControl, type Lease, utf8Length } from '@ws/codec/internal';
import { CloseError, CloseSentError } from '../errors.ts';
import { COPY_BELOW } from '../memory/copy.ts';
import type { DataType } from '../message.ts';
import { RESOLVED } from '../time/promises.ts';
import { LateRejection, rejectedLater } from '../time/refusal.ts';
import { hasRoom, WRITE_COST } from '../writing/backpressure.ts';
import { utf8 } from '../writing/payload.ts';
import { ChangedBytes, DetachedBytes } from '../writing/pending-bytes.ts';
import type { PreparedMessage } from '../writing/prepared-message.ts';
import { FIN } from '../writing/shared-frames.ts';
import type { WriteEnd } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import { MessageEncoder } from './message-encoder.ts';
import { MessageWriter } from './message-writer.ts';
import { SendQueue } from './send-queue.ts';
import {
  type Waiting,
  WaitingForRoom,
  WaitingMessage,
  WaitingWriter,
  WaitingWrites,
} from './waiting-writes.ts';

/**
 * Takes the messages of the callers: checks the limits and keeps the order. A message goes to the
 * send queue at once, or to the encoder if an extension changes it. While a MessageWriter is open, or
 * another thread encodes a large message, messages wait.
 */
export class Writer {
  readonly sendQueue: SendQueue;
  /** The close frame is about to be sent: messages are no longer encoded, and wait for no turn. */
  flushing = false;
  readonly #connection: Connection;
  /** Absent without an extension. */
  readonly #encoder: MessageEncoder | undefined;
  /** Accepted bytes that the send queue does not have yet. */
  waitingBytes = 0;
  /** Number of the writes that wait, also for a drain if the caller watches a signal. */
  #waitingCalls = 0;
  /** The open writer. Only this class changes it. */
  open: MessageWriter | undefined;
  /** The option of the open writer. */
  #compress: boolean | undefined;
  /** The large message that another thread encodes. */
  #encoding: WaitingMessage | undefined;
  #waiting: WaitingWrites | undefined;

  constructor(connection: Connection) {
    const { extension } = connection;
    this.#connection = connection;
    this.sendQueue = new SendQueue(connection);
    if (extension !== undefined) {
      this.#encoder = new MessageEncoder(connection, this, extension);
    }
  }

  /** Whether an encoded message of several frames is open. */
  get streamsEncoded(): boolean {
    return this.#encoder?.streams === true;
  }

  // Limits

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
    const buffered = this.sendQueue.bufferedAmount + this.#cost();
    return this.#connection.refuseMessage(buffered, size, text);
  }

  /** Whether a message of `size` bytes would be accepted now. */
  accepts(size: number): boolean {
    return this.sendQueue.writeEnd === undefined && this.#hasRoom(size);
  }

  /** Whether `size` more bytes may wait. If not, hands frames to the transport and asks again. */
  #hasRoom(size: number): boolean {
    const { sendQueue } = this;
    const { settings } = this.#connection.shared;
    const cost = this.#cost();
    const most = size + cost + sendQueue.frames.bytes;
    if (sendQueue.blocked || most > settings.maxBufferedAmount) {
      // A transport may call back, and so change the cost.
      sendQueue.pump();
    } else if (cost === 0) return true;
    const buffered = sendQueue.bufferedAmount + this.#cost();
    return hasRoom(settings, buffered, size) && this.#inBudget(buffered, size);
  }

  /** Whether `size` more bytes may wait in all connections together. */
  #inBudget(buffered: number, size: number): boolean {
    const connection = this.#connection;
    const { writeBudget } = connection.platform;
    return writeBudget === undefined || buffered === 0 || writeBudget.accepts(connection, size);
  }

  /** Bytes that wait for the limit of buffered bytes: with the cost of each waiting write. */
  #cost(): number {
    return this.waitingBytes + this.#waitingCalls * WRITE_COST;
  }

  /** Counts `bytes` as waiting until `written` settles. The write that returned it waits. */
  countUntil(written: Promise<void>, bytes: number): void {
    // Such a write was refused.
    if (written instanceof LateRejection) return;
    this.waitingBytes += bytes;
    this.#waitingCalls++;
    const free = (): void => {
      this.waitingBytes -= bytes;
      this.#waitingCalls--;
      this.#connection.countWaiting();
    };
    written.then(free, free);
  }

  // Messages

  /**
   * Sends a whole text message.
   *
   * @param compress - The option of the caller.
   */
  sendText(type: DataType, text: string, compress: boolean | undefined): Promise<void> {
    const rejection = this.rejectionFor(text.length, text);
    if (rejection !== undefined) return rejection;
    if (this.#mustWait()) {
      const bytes = utf8(text, this.#connection.platform);
      return this.#wait(WaitingMessage.owning(type, bytes, compress));
    }
    const encoder = this.#encoder;
    if (encoder !== undefined && encoder.wantsText(text, compress)) {
      return this.#encodeText(encoder, type, text);
    }
    return this.#countMessage(type, text, this.sendQueue.textFrame(type, text));
  }

  /**
   * Sends `bytes[start, end)` as a whole message.
   *
   * @param lease - The memory of the bytes, if they are a borrowed message.
   */
  sendBytes(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
    lease?: Lease,
  ): Promise<void> {
    const size = end - start;
    const rejection = this.rejectionFor(size);
    if (rejection !== undefined) return rejection;
    if (this.#mustWait()) return this.#wait(this.#retain(type, bytes, start, end, compress));
    const encoder = this.#encoder;
    if (encoder !== undefined && encoder.wants(size, compress)) {
      // An engine would read beyond a detached or shrunk buffer and crash the process.
      if (end > bytes.byteLength) throw new DetachedBytes();
      return encoder.isLarge(size)
        ? this.#encodeLater(this.#retain(type, bytes, start, end, compress), encoder)
        : this.#countMessage(type, size, encoder.message(type, bytes, start, end));
    }
    const sent = this.sendQueue.callerFrame(FIN | type, bytes, start, end, lease);
    return this.#countMessage(type, size, sent);
  }

  /** Sends a message of a backlog: `maxBufferedAmount` does not apply. The bytes never change. */
  sendBacklog(type: DataType, bytes: Uint8Array): Promise<void> {
    const rejection = this.rejectionIfClosed();
    if (rejection !== undefined) return rejection;
    const write = WaitingMessage.owning(type, bytes, undefined);
    return this.#mustWait() ? this.#wait(write) : this.#start(write);
  }

  /**
   * Sends a prepared message, which caches its encoded variants.
   *
   * @param isAccepted - Whether the caller has checked the limits.
   */
  sendPrepared(message: PreparedMessage, isAccepted = false): Promise<void> {
    const rejection = isAccepted
      ? this.rejectionIfClosed()
      : this.rejectionFor(message.bytes.length);
    if (rejection !== undefined) return rejection;
    if (this.#mustWait()) return this.#wait(WaitingMessage.prepared(message));
    return this.#startPrepared(message, undefined);
  }

  /** See {@link SendQueue.sharedRun}. */
  sendRun(messages: readonly PreparedMessage[]): boolean {
    const isObserved = this.#connection.shared.platform.observer?.messageOut !== undefined;
    const alone = this.#encoder !== undefined || this.#mustWait() || isObserved;
    if (alone || !this.sendQueue.sharedRun(messages)) return false;
    this.#connection.messagesOut += messages.length;
    return true;
  }

  /**
   * Whether a message must wait for earlier ones. While waiting writes are sent, a new message joins
   * them: an observer may write, and the rest may be sent in a later turn.
   */
  #mustWait(): boolean {
    return this.busy || this.#waiting?.advancing === true;
  }

  /** Whether an earlier message is under way. */
  get busy(): boolean {
    return this.open !== undefined || this.#encoding !== undefined;
  }

  /** A masked frame never refers to the caller's bytes, so a client copies them. */
  #retain(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
  ): WaitingMessage {
    const copiesAll = this.#connection.shared.nextKey !== undefined;
    return WaitingMessage.of(type, bytes, start, end, compress, copiesAll);
  }

  /** Counts a message whose frames were accepted, and returns `sent`. */
  #countMessage(type: number, payload: number | string, sent: Promise<void>): Promise<void> {
    const connection = this.#connection;
    connection.messagesOut++;
    if (connection.shared.platform.observer?.messageOut !== undefined) this.#observe(type, payload);
    return sent;
  }

  /** The message is accepted, so an error of the observer does not reject its write. */
  #observe(type: number, size: number | string): void {
    const connection = this.#connection;
    const bytes = typeof size === 'string' ? utf8Length(size) : size;
    connection.observe((observer) => observer.messageOut?.(connection.conn, type, bytes));
  }

  /** Sends an accepted text that the extension wants. */
  #encodeText(encoder: MessageEncoder, type: DataType, text: string): Promise<void> {
    const most = text.length * 3;
    if (most < COPY_BELOW && !encoder.isLarge(most)) {
      return this.#countMessage(type, text, encoder.shortText(type, text));
    }
    const bytes = utf8(text, this.#connection.platform);
    return encoder.isLarge(bytes.length)
      ? this.#encodeLater(WaitingMessage.owning(type, bytes, undefined), encoder)
      : this.#countMessage(type, bytes.length, encoder.message(type, bytes, 0, bytes.length));
  }

  /**
   * Sends an accepted message that has waited, or lets another thread encode it.
   *
   * @returns The promise of `write` in the second case.
   */
  #start(write: WaitingMessage): Promise<void> {
    const { type, bytes, start, end, compress, prepared } = write;
    const encoder = this.#encoder;
    if (prepared !== undefined) return this.#startPrepared(prepared, write);
    if (encoder === undefined || !encoder.wants(end - start, compress)) {
      return this.#sendPlain(write);
    }
    if (write.isDetached) throw new DetachedBytes();
    return encoder.isLarge(end - start)
      ? this.#encodeLater(write, encoder)
      : this.#countMessage(type, end - start, encoder.message(type, bytes, start, end));
  }

  #sendPlain({ type, bytes, start, end, isOwned }: WaitingMessage): Promise<void> {
    const { sendQueue } = this;
    const sent = isOwned
      ? sendQueue.ownedFrame(FIN | type, bytes, start, end)
      : sendQueue.callerFrame(FIN | type, bytes, start, end, undefined);
    return this.#countMessage(type, end - start, sent);
  }

  /** @param write - The message, if it has waited. */
  #startPrepared(message: PreparedMessage, write: WaitingMessage | undefined): Promise<void> {
    const { bytes } = message;
    const type = message.type as DataType;
    const { length } = bytes;
    const { sendQueue } = this;
    const encoder = this.#encoder;
    if (encoder === undefined || !encoder.wants(length, undefined)) {
      return this.#countMessage(type, length, sendQueue.sharedFrame(FIN | type, bytes));
    }
    const sent = encoder.prepared(message);
    if (sent !== undefined) return this.#countMessage(type, length, sent);
    return this.#encodeLater(write ?? WaitingMessage.prepared(message), encoder);
  }

  // Encoding on another thread

  /** Returns the promise of `write`. */
  #encodeLater(write: WaitingMessage, { shared }: MessageEncoder): Promise<void> {
    this.#encoding = write;
    this.count(write);
    try {
      write.encodeLater(shared, (variant) => {
        if (this.#encoding !== write) return;
        this.#encoded(write, variant);
        this.#waiting?.advance();
      });
    } catch {
      // No thread is available: the message is sent as it is.
      this.#encoded(write, undefined);
    }
    return write.promise;
  }

  /** Sends `variant` of the message. Without one, the extension may still insist on encoding it. */
  #encoded(write: WaitingMessage, variant: Uint8Array | undefined): void {
    const encoder = this.#encoder!;
    const plain = write.end - write.start;
    this.#encoding = undefined;
    this.uncount(write);
    try {
      write.checkUnchanged();
      if (write.isDetached) throw new DetachedBytes();
      const rejection = this.rejectionIfClosed();
      if (rejection !== undefined) return write.finish(rejection);
      if (variant === undefined || variant.length === 0) {
        return write.finish(this.#sendUnshared(write));
      }
      write.finish(this.#countMessage(write.type, plain, encoder.variant(write, variant)));
    } catch (error) {
      encoder.shared.forget();
      this.#failed(write, error);
    }
  }

  /** Sends a message that no other thread has encoded: an extension that compresses leaves it. */
  #sendUnshared(write: WaitingMessage): Promise<void> {
    const { type, bytes, start, end } = write;
    const encoder = this.#encoder!;
    if (!encoder.wants(end - start, false)) return this.#sendPlain(write);
    return this.#countMessage(type, end - start, encoder.message(type, bytes, start, end));
  }

  /** Whether messages wait for another thread and for nothing else, and `size` more bytes may wait. */
  encodesElsewhere(size: number): boolean {
    return this.#encoding !== undefined && !this.sendQueue.blocked && this.accepts(size);
  }

  /** Whether messages wait for an open writer and for nothing else, and `size` more bytes may wait. */
  awaitsWriter(size: number): boolean {
    return this.open !== undefined && !this.sendQueue.blocked && this.accepts(size);
  }

  /** Calls `send`, whose messages stay as they are and follow those that wait for another thread. */
  sendUnencoded(send: () => void): void {
    const wasFlushing = this.flushing;
    this.sendAccepted();
    try {
      send();
    } finally {
      this.flushing = wasFlushing;
    }
  }

  // Messages in fragments

  /**
   * Opens a writer for the next message. An open writer is finished first, after its pending calls.
   * With `queue` this call waits until the owner of the open writer closes it.
   */
  nextWriter(type: number, queue: boolean, compress?: boolean): Promise<MessageWriter> {
    const rejection = this.rejectionIfClosed();
    if (rejection !== undefined) return rejection;
    if (!this.#mustWait()) return Promise.resolve(this.#openWriter(type, compress));
    const tooMany = this.rejectionFor(0);
    if (tooMany !== undefined) return tooMany;
    const open = this.open;
    const opened = this.#wait(new WaitingWriter(type, compress, !queue));
    if (!queue) open?.supersede();
    return opened;
  }

  #openWriter(type: number, compress: boolean | undefined): MessageWriter {
    const writer = new MessageWriter(type, this.#connection, this);
    this.open = writer;
    this.#compress = compress;
    return writer;
  }

  /** Sends `bytes[start, end)` as a fragment. Resolves when there is room for the next one. */
  fragment(
    opcode: number,
    fin: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): Promise<void> {
    if (isControl(opcode)) return this.#connection.control(opcode, bytes.subarray(start, end));
    const b0 = (fin ? FIN : 0) | opcode;
    if (this.#encoder !== undefined) {
      return this.#encoder.fragment(b0, bytes, start, end, this.#compress);
    }
    // Copied: the writer uses its buffer again at once.
    return this.sendQueue.copiedFrame(b0, bytes, start, end);
  }

  /** The last fragment of a message of `bytes` was sent. */
  complete(type: number, bytes: number): void {
    if (!isControl(type)) void this.#countMessage(type, bytes, RESOLVED);
  }

  /** The writer is done: the next waiting write may begin. */
  writerDone(writer: MessageWriter): void {
    if (this.open !== writer) return;
    this.open = undefined;
    this.#encoder?.endStream(false);
    if (this.#encoder !== undefined) this.#connection.encodedStreamEnded();
    this.#waiting?.writerDone();
  }

  /**
   * The writer was aborted after a fragment was sent: the message cannot be completed, so the
   * connection fails.
   */
  writerBroken(reason: unknown): void {
    this.#connection.fail(reason, CloseCode.InternalServerErr, '');
  }

  // Waiting writes

  /**
   * Resolves when the next message may have room: after an earlier message, or at a drain.
   * Undefined when it has room now. Rejects at the end.
   */
  untilWritable(): Promise<void> | undefined {
    return this.#mustWait() ? this.#wait(new WaitingForRoom()) : this.sendQueue.untilDrained();
  }

  #wait<Write extends Waiting>(write: Write): Write['promise'] {
    this.#waiting ??= new WaitingWrites(this.#connection, this);
    this.#waiting.add(write);
    return write.promise;
  }

  /** `write` waits from now on. */
  count({ size }: Waiting): void {
    this.waitingBytes += size;
    this.#waitingCalls++;
  }

  uncount({ size }: Waiting): void {
    this.waitingBytes -= size;
    this.#waitingCalls--;
    this.#connection.countWaiting();
  }

  /** The message that has just returned `promise`, if it waits for an earlier one. */
  waitingMessage(promise: Promise<void>): WaitingMessage | undefined {
    const write = this.#encoding?.promise === promise ? this.#encoding : this.#waiting?.last;
    return write instanceof WaitingMessage && write.promise === promise ? write : undefined;
  }

  /** Rejects a message with `reason`, if it still waits. */
  cancel(write: WaitingMessage, reason: unknown): void {
    if (this.#encoding !== write) return this.#waiting?.cancel(write, reason);
    this.#encoding = undefined;
    this.uncount(write);
    write.reject(reason);
    this.#waiting?.advance();
  }

  /** Begins a write whose earlier messages are sent. */
  begin(write: Waiting): void {
    if (write instanceof WaitingMessage) this.#beginMessage(write);
    else if (write instanceof WaitingWriter) this.#beginWriter(write);
    else if (write instanceof WaitingForRoom) write.settle();
  }

  #beginMessage(write: WaitingMessage): void {
    try {
      write.checkUnchanged();
      const sent = this.rejectionIfClosed() ?? this.#start(write);
      // A message that another thread encodes settles later.
      if (sent !== write.promise) write.finish(sent);
    } catch (error) {
      this.#failed(write, error);
    }
  }

  #beginWriter(write: WaitingWriter): void {
    const writer = this.#openWriter(write.type, write.compress);
    // A waiting call without `queue` finishes this writer as soon as the writer is open.
    if (this.#waiting!.superseding > 0) writer.supersede();
    write.settle(writer);
  }

  #failed(write: WaitingMessage, error: unknown): void {
    if (error instanceof ChangedBytes) this.sendQueue.bytesChanged(error);
    else this.#connection.reportMistake(error, 'writeMessage');
    write.reject(error);
  }

  /**
   * Sends all accepted messages, so that the close frame can follow. Messages that are not
   * encoded yet are sent as they are.
   */
  sendAccepted(): void {
    this.flushing = true;
    const write = this.#encoding;
    if (write !== undefined) {
      write.cancelEncoding();
      this.#encoded(write, undefined);
    }
    this.#waiting?.restart();
  }

  /** Rejects the open writer and every waiting write: the send queue accepts no message any more. */
  rejectWaiting(): void {
    const open = this.open;
    const write = this.#encoding;
    const end = this.sendQueue.writeEnd!;
    this.open = undefined;
    this.#encoding = undefined;
    open?.fail(end.error);
    if (write !== undefined) {
      this.uncount(write);
      write.reject(end.error);
    }
    this.#encoder?.endStream(false);
    this.#waiting?.rejectAll(end);
  }
}
