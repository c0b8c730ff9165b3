import { ContinuationFrame } from '@ws/codec';
import { sendDelayedPing } from '../control/heartbeat.ts';
import { TimeoutError } from '../errors.ts';
import { Fifo } from '../memory/fifo.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { WRITE_COST } from '../writing/buffer-limits.ts';
import { isControlType } from '../writing/payload.ts';
import { ChangedBytes, DetachedBytes } from '../writing/pending-bytes.ts';
import { FIN } from '../writing/shared-frames.ts';
import type { WriteEnd } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import { MessageWriter } from './message-writer.ts';
import type { Outbox } from './outbox.ts';
import { WaitForRoom, type Waiting, WaitingMessage, WaitingWriter } from './waiting-write.ts';

/** Time in ms that a message waits for an idle MessageWriter before it is reported. */
const PATIENCE_MS = 5_000;

/**
 * The open MessageWriter of one connection, the large message that another thread encodes, and the
 * writes that wait for either, first in, first out. The first writer or message creates this object.
 */
export class WaitingWrites {
  /** The open writer. Only this class changes it. */
  writer: MessageWriter | undefined;
  /** Accepted bytes that are in no frame yet. */
  bytes = 0;
  /** Number of waiting writes. A write with a signal may also wait for a drain. */
  #calls = 0;
  /** Whether the extension encodes the message of the open writer. */
  streamsEncoded = false;
  /** {@link Machine.bytesOut} after the last frame of an encoded message of several frames. */
  #encodedEnd = 0;
  /** The option `compress` of the open writer. */
  #compress: boolean | undefined;
  /** The large message that another thread encodes. */
  #encoding: WaitingMessage | undefined;
  readonly #queue = new Fifo<Waiting>();
  /** Whether waiting writes are being sent, in this turn or in later ones. */
  #advancing = false;
  /** Whether the write that is called now has a signal. See {@link withSignal}. */
  #mayAbort = false;
  /** Whether the close frame is about to be sent. No message waits for a later turn then. */
  #flushing = false;
  /** Number of waiting calls of `nextWriter` without `queue`. Each call finishes the writers before it. */
  #superseding = 0;
  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #idleAlarm: IdleWriterAlarm;

  constructor(connection: Connection, outbox: Outbox) {
    this.#connection = connection;
    this.#outbox = outbox;
    this.#idleAlarm = new IdleWriterAlarm(connection, this);
  }

  /** Whether an earlier message is under way. */
  get busy(): boolean {
    return this.writer !== undefined || this.#encoding !== undefined;
  }

  /** Whether another thread encodes a message. */
  get encodes(): boolean {
    return this.#encoding !== undefined;
  }

  /**
   * Whether a new message must wait. While waiting writes are sent, an observer may write, and some
   * writes may be left for a later turn: the new message follows them. A message with a signal also
   * waits while the transport is blocked, because an abort cannot cancel a frame.
   */
  get mustWait(): boolean {
    if (this.busy || this.#advancing || this.#queue.length > 0) return true;
    return this.#mayAbort && this.#connection.machine.blocked;
  }

  /** Calls `write` for a message with a signal. */
  withSignal(write: () => Promise<void>): Promise<void> {
    this.#mayAbort = true;
    try {
      return write();
    } finally {
      this.#mayAbort = false;
    }
  }

  /** The waiting bytes, and a cost for each waiting write. Both count against the limits. */
  get cost(): number {
    return this.bytes + this.#calls * WRITE_COST;
  }

  get first(): Waiting | undefined {
    return this.#queue.peek();
  }

  add<Write extends Waiting>(write: Write): Write['promise'] {
    if (write instanceof WaitingMessage) write.mayAbort = this.#mayAbort;
    write.entry = this.#queue.add(write);
    this.#count(write.size);
    if (write instanceof WaitingWriter && write.supersedes) this.#superseding++;
    this.#idleAlarm.watch();
    return write.promise;
  }

  #shift(): Waiting | undefined {
    const write = this.#queue.shift();
    if (write === undefined) return undefined;
    this.#uncount(write.size);
    if (write instanceof WaitingWriter && write.supersedes) this.#superseding--;
    return write;
  }

  #count(size: number): void {
    this.bytes += size;
    this.#calls++;
  }

  #uncount(size: number): void {
    this.bytes -= size;
    this.#calls--;
    this.#connection.platform.writeBudget?.count(this.#connection);
  }

  /** Counts `bytes` as waiting until `written` settles, the promise of a write that waits. */
  countUntil(written: Promise<void>, bytes: number): void {
    this.#count(bytes);
    const free = (): void => this.#uncount(bytes);
    written.then(free, free);
  }

  /** The waiting message with this promise, if it is the newest one or another thread encodes it. */
  messageOf(promise: Promise<void>): WaitingMessage | undefined {
    const write = this.#encoding?.promise === promise ? this.#encoding : this.#queue.last;
    return write instanceof WaitingMessage && write.promise === promise ? write : undefined;
  }

  /** Rejects a message with `reason`, if it still waits. Returns whether it has waited. */
  cancel(write: WaitingMessage, reason: unknown): boolean {
    const isEncoding = this.#encoding === write;
    const waits = write.entry !== undefined && this.#queue.remove(write.entry);
    if (!isEncoding && !waits) return false;
    if (isEncoding) this.#encoding = undefined;
    this.#uncount(write.size);
    write.reject(reason);
    this.#advance();
    return true;
  }

  // Messages in fragments

  /**
   * Opens a writer for the next message. An open writer is finished first, after its pending calls.
   * With `queue` this call waits until the owner of the open writer closes it.
   */
  nextWriter(type: number, queue: boolean, compress?: boolean): Promise<MessageWriter> {
    const outbox = this.#outbox;
    const rejection = outbox.rejectionIfClosed();
    if (rejection !== undefined) return rejection;
    if (!this.mustWait) return Promise.resolve(this.#openWriter(type, compress));
    const tooMany = outbox.rejectionFor(0);
    if (tooMany !== undefined) return tooMany;
    const earlier = this.writer;
    const opened = this.add(new WaitingWriter(type, compress, !queue));
    if (!queue) earlier?.supersede();
    return opened as Promise<MessageWriter>;
  }

  #openWriter(type: number, compress: boolean | undefined): MessageWriter {
    const writer = new MessageWriter(type, this.#connection, this);
    this.writer = writer;
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
    if (isControlType(opcode)) return this.#connection.control(opcode, bytes.subarray(start, end));
    const b0 = (fin ? FIN : 0) | opcode;
    const first = opcode !== ContinuationFrame;
    if (first) {
      // The size of the message is unknown, unless the first fragment is the last one.
      const size = fin ? end - start : Infinity;
      this.streamsEncoded = this.#outbox.encoder?.wants(size, this.#compress) === true;
    }
    // Copied, because the writer reuses its buffer at once.
    if (!this.streamsEncoded) return this.#outbox.copiedFrame(b0, bytes, start, end);
    try {
      return this.#encodedFragment(b0, first, bytes, start, end);
    } catch (error) {
      this.#endEncoded(false);
      throw error;
    }
  }

  #encodedFragment(
    b0: number,
    first: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): Promise<void> {
    const outbox = this.#outbox;
    const encoder = outbox.encoder!;
    const fin = b0 >= FIN;
    const size = encoder.encode(bytes, start, end, first, fin);
    if (size < 0) {
      this.#endEncoded(true);
      return outbox.copiedFrame(b0, bytes, start, end);
    }
    const { extension, outputRsv } = encoder;
    outbox.sender.countEncoded(end - start);
    const sent = outbox.copiedFrame(first ? b0 | outputRsv : b0, extension.output, 0, size);
    this.#encodedEnd = this.#connection.machine.bytesOut;
    if (fin) this.#endEncoded(true);
    return sent;
  }

  /** @param sent - Whether the whole message was sent. Otherwise the message was aborted. */
  #endEncoded(sent: boolean): void {
    if (!this.streamsEncoded) return;
    this.streamsEncoded = false;
    try {
      this.#outbox.encoder!.extension.endOutput(sent);
    } catch (error) {
      // The connection may be about to end.
      this.#connection.report(error, 'extension');
    }
  }

  /** Whether frames of an encoded message of several frames are unsent. */
  get encodedUnsent(): boolean {
    return this.#encodedEnd > this.#connection.machine.bytesOut - this.#outbox.frames.bytes;
  }

  /** The writer is done. The next waiting write may begin. */
  writerDone(writer: MessageWriter): void {
    if (this.writer !== writer) return;
    this.writer = undefined;
    this.#endEncoded(false);
    // A ping of the heartbeat may have waited for the end of the message.
    const { platform, rare } = this.#connection;
    if (rare?.pingWait !== undefined) sendDelayedPing(this.#connection, platform.now());
    this.#idleAlarm.stop();
    this.#advance();
    this.#idleAlarm.watch();
  }

  // Messages that wait

  /** Sends the writes: as many as fit in this turn, and the rest in later turns. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (!this.busy && this.#queue.length > 0 && !this.#awaitsDrain()) {
      if (!this.#flushing && this.#outbox.sender.turnFull) {
        this.#connection.platform.yield(() => this.#continue());
        return;
      }
      this.#begin(this.#shift()!);
    }
    this.#advancing = false;
  }

  /** Whether the first write has a signal, and the transport takes no frame. */
  #awaitsDrain(): boolean {
    const { first } = this;
    const mayAbort = first instanceof WaitingMessage && first.mayAbort;
    return mayAbort && this.#connection.machine.blocked && !this.#flushing;
  }

  /** The transport is below its high-water mark again. */
  drained(): void {
    if (this.#queue.length > 0) this.#advance();
  }

  #continue(): void {
    this.#outbox.sender.resetBudget();
    this.#restart();
  }

  /** Sends the writes now, also when they wait for a later turn. */
  #restart(): void {
    this.#advancing = false;
    this.#advance();
  }

  /** Begins a write after the messages before it. */
  #begin(write: Waiting): void {
    if (write instanceof WaitingMessage) this.#beginMessage(write);
    else if (write instanceof WaitingWriter) this.#beginWriter(write);
    else if (write instanceof WaitForRoom) write.resolve();
  }

  #beginMessage(write: WaitingMessage): void {
    try {
      write.checkUnchanged();
      const sent = this.#outbox.rejectionIfClosed() ?? this.send(write);
      // A message that another thread encodes settles later.
      if (sent !== write.promise) write.finish(sent);
    } catch (error) {
      this.#failed(write, error);
    }
  }

  #beginWriter(write: WaitingWriter): void {
    const writer = this.#openWriter(write.type, write.compress);
    // A waiting call without `queue` finishes this writer as soon as the writer is open.
    if (this.#superseding > 0) writer.supersede();
    write.resolve(writer);
  }

  #failed(write: WaitingMessage, error: unknown): void {
    if (error instanceof ChangedBytes) this.#outbox.sender.bytesChanged(error);
    else this.#connection.reportMistake(error, 'writeMessage');
    write.reject(error);
  }

  /**
   * Sends an accepted message, or lets another thread encode it.
   *
   * @returns The promise of `write` in the second case.
   */
  send(write: WaitingMessage): Promise<void> {
    const { type, bytes, start, end, compress, prepared } = write;
    const { encoder } = this.#outbox;
    if (prepared !== undefined) return this.#outbox.startPrepared(prepared, write);
    if (encoder === undefined || !encoder.wants(end - start, compress)) {
      return this.#sendPlain(write);
    }
    if (write.isDetached) throw new DetachedBytes();
    if (encoder.isLarge(end - start)) return this.encodeLater(write);
    const sent = this.#outbox.encodedFrame(type, bytes, start, end);
    this.#outbox.countMessage(type, end - start);
    return sent;
  }

  #sendPlain({ type, bytes, start, end, isOwned }: WaitingMessage): Promise<void> {
    const outbox = this.#outbox;
    const sent = isOwned
      ? outbox.ownedFrame(FIN | type, bytes, start, end)
      : outbox.callerFrame(FIN | type, bytes, start, end, undefined);
    outbox.countMessage(type, end - start);
    return sent;
  }

  // Encoding on another thread

  /** Lets another thread encode a message. Returns its promise. */
  encodeLater(write: WaitingMessage): Promise<void> {
    this.#encoding = write;
    this.#count(write.size);
    try {
      write.encodeLater(this.#outbox.encoder!.extension.shared!, (variant) => {
        if (this.#encoding !== write) return;
        this.#encoded(write, variant);
        this.#advance();
      });
    } catch {
      // No thread is available. The message is sent as it is.
      this.#encoded(write, undefined);
    }
    return write.promise;
  }

  /** Sends the encoded `variant` of a message, or the message itself if `variant` is empty or missing. */
  #encoded(write: WaitingMessage, variant: Uint8Array | undefined): void {
    const outbox = this.#outbox;
    const { shared, rsv } = outbox.encoder!.extension;
    this.#encoding = undefined;
    this.#uncount(write.size);
    try {
      write.checkUnchanged();
      if (write.isDetached) throw new DetachedBytes();
      const rejection = outbox.rejectionIfClosed();
      if (rejection !== undefined) return write.finish(rejection);
      if (variant === undefined || variant.length === 0) {
        return write.finish(this.#sendUnshared(write));
      }
      const { type, bytes, start, end } = write;
      shared!.recordSent(bytes, start, end);
      outbox.sender.countEncoded(end - start);
      const sent = outbox.ownedFrame(FIN | rsv | type, variant, 0, variant.length);
      outbox.countMessage(type, end - start);
      write.finish(sent);
    } catch (error) {
      shared!.forget();
      this.#failed(write, error);
    }
  }

  /** Sends a message that no other thread has encoded. An extension may have to encode it now. */
  #sendUnshared(write: WaitingMessage): Promise<void> {
    const { type, bytes, start, end } = write;
    const encoder = this.#outbox.encoder!;
    if (!encoder.wants(end - start, false)) return this.#sendPlain(write);
    const sent = this.#outbox.encodedFrame(type, bytes, start, end);
    this.#outbox.countMessage(type, end - start);
    return sent;
  }

  // The end

  /** Sends all accepted messages. Messages that are not encoded yet are sent as they are. */
  sendAccepted(): void {
    this.#flushing = true;
    const write = this.#encoding;
    if (write !== undefined) {
      write.cancelEncoding();
      this.#encoded(write, undefined);
    }
    this.#restart();
  }

  /** From now on, messages wait for a later turn again when a turn is full. */
  stopFlushing(): void {
    this.#flushing = false;
  }

  /** Rejects the open writer and every waiting write. No message is accepted any more. */
  rejectAll({ error }: WriteEnd): void {
    const { writer } = this;
    const encoding = this.#encoding;
    this.writer = undefined;
    this.#encoding = undefined;
    writer?.fail(error);
    if (encoding !== undefined) {
      this.#uncount(encoding.size);
      encoding.reject(error);
    }
    this.#endEncoded(false);
    this.#idleAlarm.stop();
    for (let write = this.#shift(); write !== undefined; write = this.#shift()) write.reject(error);
  }
}

/**
 * Reports a MessageWriter that its owner has forgotten: a message has waited for the writer, and the
 * owner made no call meanwhile. Each writer is reported once.
 */
class IdleWriterAlarm implements TimerEntry {
  slot: number | undefined;
  readonly #connection: Connection;
  readonly #waitingWrites: WaitingWrites;
  /** The open writer when the time began, the number of its calls, and the first write that waited. */
  #writer: MessageWriter | undefined;
  #calls = 0;
  #first: Waiting | undefined;
  #reported: MessageWriter | undefined;

  constructor(connection: Connection, waitingWrites: WaitingWrites) {
    this.#connection = connection;
    this.#waitingWrites = waitingWrites;
  }

  /** A message waits, or another one is now the first. */
  watch(): void {
    if (this.slot !== undefined) return;
    const { writer, first } = this.#waitingWrites;
    this.#writer = writer;
    this.#first = first;
    if (writer === undefined || first === undefined || writer === this.#reported) return;
    this.#calls = writer.calls;
    this.#connection.shared.timers.set(this, PATIENCE_MS);
  }

  stop(): void {
    this.#connection.shared.timers.clear(this);
    this.#writer = undefined;
    this.#first = undefined;
  }

  fire(): void {
    const writer = this.#writer;
    const isSame =
      writer === this.#waitingWrites.writer && this.#first === this.#waitingWrites.first;
    if (!isSame || writer?.idle !== true || writer.calls !== this.#calls) return this.watch();
    this.#reported = writer;
    const text = `a message has waited ${PATIENCE_MS} ms for an idle MessageWriter; close() the writer`;
    this.#connection.report(new TimeoutError(text), 'nextWriter');
  }
}
