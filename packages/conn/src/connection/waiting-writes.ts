import { ContinuationFrame } from '@ws/codec';
import { sendDelayedPing } from '../control/heartbeat.ts';
import { TimeoutError } from '../errors.ts';
import { Fifo } from '../memory/fifo.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { WRITE_COST } from '../writing/buffer-limits.ts';
import { FIN } from '../writing/fragments.ts';
import { isControlType } from '../writing/payload.ts';
import { ChangedBytes, DetachedBytes } from '../writing/pending-bytes.ts';
import type { WriteEnd } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import { MessageWriter } from './message-writer.ts';
import type { Outbox } from './outbox.ts';
import { WaitForRoom, type Waiting, WaitingMessage, WaitingWriter } from './waiting-write.ts';

/** Ms that a message waits for an idle MessageWriter, before the writer is reported. */
const PATIENCE_MS = 5_000;

/**
 * The waiting writes of one connection, first in, first out. They wait for the open MessageWriter. The
 * first writer creates this object.
 */
export class WaitingWrites {
  /** The open writer. Only this class changes it. */
  writer: MessageWriter | undefined;
  /** Accepted bytes that are in no frame yet. */
  bytes = 0;
  /** Number of waiting writes, also of writes with a signal that wait for a drain. */
  #calls = 0;
  /** Whether the extension encodes the message of the open writer. */
  streamsEncoded = false;
  /** {@link Machine.bytesOut} after the last frame of an encoded message in fragments. */
  encodedEnd = 0;
  /** The option `compress` of the open writer. */
  #compress: boolean | undefined;
  readonly #queue = new Fifo<Waiting>();
  /** Whether waiting writes are being sent, in this turn or in later ones. */
  #advancing = false;
  /** Whether a call of {@link withSignal} is in progress. */
  #mayAbort = false;
  /** Whether the close frame follows, so that no message waits for a later turn. */
  #closing = false;
  /** Number of waiting calls of `nextWriter` without `queue`. Each finishes all writers before it. */
  #superseding = 0;
  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #idleAlarm: IdleWriterAlarm;

  constructor(connection: Connection, outbox: Outbox) {
    this.#connection = connection;
    this.#outbox = outbox;
    this.#idleAlarm = new IdleWriterAlarm(connection, this);
  }

  /**
   * Whether a new message must wait: while an earlier message has not ended, while waiting writes are
   * left for a later turn, and if an observer writes while waiting writes are being sent. A message
   * with a signal also waits while the transport is blocked, because an abort cannot cancel a frame.
   */
  get mustWait(): boolean {
    if (this.writer !== undefined || this.#advancing || this.#queue.length > 0) return true;
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

  /** Counts `bytes` as waiting until `written`, the promise of a waiting write, settles. */
  countUntil(written: Promise<void>, bytes: number): void {
    this.#count(bytes);
    const free = (): void => this.#uncount(bytes);
    written.then(free, free);
  }

  /** The newest waiting message, if it has this promise. */
  messageOf(promise: Promise<void>): WaitingMessage | undefined {
    const write = this.#queue.last;
    return write instanceof WaitingMessage && write.promise === promise ? write : undefined;
  }

  /** If a message still waits, rejects it with `reason` and returns true. */
  cancel(write: WaitingMessage, reason: unknown): boolean {
    if (write.entry === undefined || !this.#queue.remove(write.entry)) return false;
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
      this.streamsEncoded = this.#outbox.encoder?.wantsFragments(size, this.#compress) === true;
    }
    // Copies the bytes: the writer reuses its buffer at once.
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
    this.encodedEnd = this.#connection.machine.bytesOut;
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

  /** Whether some frames of an encoded message in fragments are unsent. */
  get encodedUnsent(): boolean {
    return this.encodedEnd > this.#connection.machine.bytesOut - this.#outbox.frames.bytes;
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

  /** Sends waiting writes: as many as fit in this turn, and the rest in later turns. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (this.writer === undefined && this.#queue.length > 0 && !this.#awaitsDrain()) {
      if (!this.#closing && this.#outbox.sender.turnFull) {
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
    return mayAbort && this.#connection.machine.blocked && !this.#closing;
  }

  /** The transport is below its high-water mark again. */
  drained(): void {
    if (this.#queue.length > 0) this.#advance();
  }

  #continue(): void {
    this.#outbox.sender.resetBudget();
    this.#restart();
  }

  /** Sends waiting writes now, even if they wait for a later turn. */
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
      write.finish(this.#outbox.rejectionIfClosed() ?? this.send(write));
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

  /** Sends an accepted message. */
  send(write: WaitingMessage): Promise<void> {
    const { type, bytes, start, end, compress, prepared, isOwned } = write;
    const outbox = this.#outbox;
    if (prepared !== undefined) return outbox.startPrepared(prepared);
    let sent: Promise<void>;
    if (outbox.encoder?.wants(end - start, compress) === true) {
      if (write.isDetached) throw new DetachedBytes();
      sent = outbox.encodedFrame(type, bytes, start, end);
    } else if (isOwned) sent = outbox.ownedFrame(FIN | type, bytes, start, end);
    else sent = outbox.callerFrame(FIN | type, bytes, start, end, undefined);
    outbox.countMessage(type, end - start);
    return sent;
  }

  // The end

  /** Sends all accepted messages: the close frame follows. */
  sendAccepted(): void {
    this.#closing = true;
    this.#restart();
  }

  /** Rejects the open writer and every waiting write. No message is accepted any more. */
  rejectAll({ error }: WriteEnd): void {
    const { writer } = this;
    this.writer = undefined;
    writer?.fail(error);
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
  /** The open writer, the number of its calls and the first waiting write, at the start of the timer. */
  #writer: MessageWriter | undefined;
  #calls = 0;
  #first: Waiting | undefined;
  #reported: MessageWriter | undefined;

  constructor(connection: Connection, waitingWrites: WaitingWrites) {
    this.#connection = connection;
    this.#waitingWrites = waitingWrites;
  }

  /** Called when a message waits, or when another message has become the first. */
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
