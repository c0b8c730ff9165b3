import { Lease } from '@ws/codec/internal';
import { sendDelayedPing } from '../control/heartbeat.ts';
import { TimeoutError } from '../errors.ts';
import { COPY_BELOW, copyOf } from '../memory/copy.ts';
import { Fifo } from '../memory/fifo.ts';
import type { DataType } from '../message.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { WRITE_COST } from '../writing/buffer-limits.ts';
import { PendingBytesMistake, watchChanges } from '../writing/pending-bytes.ts';
import type { PreparedMessage } from '../writing/prepared-message.ts';
import type { WriteEnd } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import { MessageWriter } from './message-writer.ts';
import { startBytes, startPrepared } from './messages.ts';
import { Waiting } from './waiting.ts';
import {
  ADDED,
  AFTER,
  EMPTIED,
  ENDED,
  IDLE,
  LAST,
  OPENED,
  QUEUED,
  WAITS,
  type Writer,
  type WriterEvent,
} from './writer.ts';

/** Ms that a message waits for an idle MessageWriter, before the writer is reported. */
const PATIENCE_MS = 5_000;

/**
 * The open MessageWriter of one connection, and the calls that wait, first in, first out. The first writer,
 * message with a signal, or encoded message in fragments creates this object.
 */
export class WriteQueue implements TimerEntry {
  /** The open writer. Only this class changes it. */
  writer: MessageWriter | undefined;
  /** Accepted bytes that are in no frame yet. */
  bytes = 0;
  /** {@link Machine.bytesOut} after the last frame of an encoded message in several frames. */
  encodedEnd = 0;
  slot: number | undefined;
  #state: Writer = IDLE;
  /** Number of waiting calls, also of writes that wait within their writer. */
  #calls = 0;
  /** Number of waiting calls of `nextWriter` without `queue`. Each finishes all writers before it. */
  #superseding = 0;
  /** Whether waiting calls are being started, in this turn or in later ones. */
  #advancing = false;
  /** Whether a call of {@link withSignal} is in progress. */
  #mayAbort = false;
  /** A writer that may be forgotten: its number of calls and the first waiting call are from an earlier time. */
  #watched: { writer: MessageWriter; calls: number; first: Waiting } | undefined;
  /** The writer that was reported last. */
  #reported: MessageWriter | undefined;
  readonly #queue = new Fifo<Waiting>();
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  #on(event: WriterEvent): void {
    this.#state = AFTER[this.#state][event]!;
  }

  /**
   * Whether a new message must wait. A message with a signal also waits while the transport is blocked,
   * because an abort cannot cancel a frame.
   */
  get mustWait(): boolean {
    if ((this.#state & WAITS) !== 0) return true;
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

  /** The waiting bytes, and a cost for each waiting call. Both count against the limits. */
  get cost(): number {
    return this.bytes + this.#calls * WRITE_COST;
  }

  /** Whether some frames of an encoded message in several frames are unsent. */
  get encodedUnsent(): boolean {
    const { machine, outbox } = this.#connection;
    return this.encodedEnd > machine.bytesOut - outbox.frames.bytes;
  }

  // Calls that wait

  /**
   * Adds a whole message. Fewer than {@link COPY_BELOW} bytes are copied. More are retained, and must not
   * change meanwhile.
   */
  addBytes(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
  ): Promise<void> {
    const { shared } = this.#connection;
    // A client copies the bytes anyway, because it masks them.
    if (shared.coding.masks || end - start < COPY_BELOW) {
      return this.addOwned(type, copyOf(bytes, start, end), compress);
    }
    const check = watchChanges(bytes, start, end);
    const send = (): Promise<void> => {
      check?.();
      return startBytes(this.#connection, type, bytes, start, end, compress, false);
    };
    return this.add(new Waiting(end - start, send, Lease.holding(bytes)));
  }

  /** Adds a whole message of bytes that no other code uses. */
  addOwned(type: DataType, bytes: Uint8Array, compress: boolean | undefined): Promise<void> {
    const { length } = bytes;
    const send = (): Promise<void> =>
      startBytes(this.#connection, type, bytes, 0, length, compress, true);
    return this.add(new Waiting(length, send));
  }

  addPrepared(message: PreparedMessage): Promise<void> {
    const { outbox } = this.#connection;
    const send = (): Promise<void> =>
      outbox.rejectionIfClosed() ?? startPrepared(this.#connection, message);
    return this.add(new Waiting(message.bytes.length, send));
  }

  /** Resolves when the next message may have room. */
  untilRoom(): Promise<void> {
    return this.add(new Waiting<void>(0, () => {}));
  }

  /**
   * Opens a writer for the next message. An open writer is finished first, after its pending calls.
   * With `queue` this call waits until the owner of the open writer closes it.
   */
  nextWriter(type: number, queue: boolean, compress?: boolean): Promise<MessageWriter> {
    const { outbox } = this.#connection;
    const rejection = outbox.rejectionIfClosed();
    if (rejection !== undefined) return rejection;
    if (!this.mustWait) return Promise.resolve(this.#open(type, compress));
    const tooMany = outbox.rejectionFor(0);
    if (tooMany !== undefined) return tooMany;
    const earlier = this.writer;
    const write = new Waiting(0, () => this.#open(type, compress));
    write.supersedes = !queue;
    const opened = this.add(write);
    if (!queue) earlier?.supersede();
    return opened;
  }

  #open(type: number, compress: boolean | undefined): MessageWriter {
    const writer = new MessageWriter(type, compress, this.#connection, this);
    this.writer = writer;
    this.#on(OPENED);
    // A waiting call without `queue` finishes this writer as soon as the writer is open.
    if (this.#superseding > 0) writer.supersede();
    return writer;
  }

  add<T>(write: Waiting<T>): Promise<T> {
    write.mayAbort = this.#mayAbort;
    write.entry = this.#queue.add(write as Waiting);
    this.#on(ADDED);
    this.#count(write.size);
    if (write.supersedes) this.#superseding++;
    this.#watch();
    return write.promise;
  }

  #shift(): Waiting | undefined {
    const write = this.#queue.shift();
    if (write === undefined) return undefined;
    this.#uncount(write.size);
    if (write.supersedes) this.#superseding--;
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

  /** The newest waiting call, if it has this promise. */
  waitingOf(promise: Promise<void>): Waiting | undefined {
    const write = this.#queue.last;
    return write?.promise === promise ? write : undefined;
  }

  /** If a call still waits, rejects it with `reason` and returns true. */
  cancel(write: Waiting, reason: unknown): boolean {
    if (write.entry === undefined || !this.#queue.remove(write.entry)) return false;
    this.#uncount(write.size);
    write.reject(reason);
    this.#advance();
    return true;
  }

  // The order

  /** The writer is done. The next waiting call may begin. */
  writerDone(writer: MessageWriter): void {
    if (this.writer !== writer) return;
    this.writer = undefined;
    this.#on(ENDED);
    // A ping of the heartbeat may have waited for the end of the message.
    const { platform, control } = this.#connection;
    if (control?.pingWait !== undefined) sendDelayedPing(this.#connection, platform.now());
    this.#stopWatch();
    this.#advance();
    this.#watch();
  }

  /**
   * Starts waiting calls: as many as fit in this turn, and the rest in later turns.
   *
   * @param isLast - Whether the close frame follows. Then no call waits for a later turn or a drain.
   */
  #advance(isLast = false): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (this.#state === QUEUED && this.#queue.length > 0 && (isLast || !this.#awaitsDrain())) {
      if (!isLast && this.#connection.outbox.turnFull) {
        this.#connection.platform.yield(() => this.#continue());
        return;
      }
      this.#begin(this.#shift()!);
    }
    this.#advancing = false;
    if (this.#queue.length === 0) this.#on(EMPTIED);
  }

  /** Whether the first call has a signal, and the transport takes no frame. */
  #awaitsDrain(): boolean {
    return this.#connection.machine.blocked && this.#queue.peek()?.mayAbort === true;
  }

  /** The transport is below its high-water mark again. */
  drained(): void {
    if (this.#queue.length > 0) this.#advance();
  }

  #continue(): void {
    this.#connection.outbox.resetBudget();
    this.#advancing = false;
    this.#advance();
  }

  /** Begins a call after the messages before it. */
  #begin(write: Waiting): void {
    try {
      write.begin();
    } catch (error) {
      if (error instanceof PendingBytesMistake && error.isChange) {
        this.#connection.outbox.bytesChanged(error);
      } else this.#connection.reportMistake(error, 'writeMessage');
      write.reject(error);
    }
  }

  /** Sends all accepted messages, also those that wait for a later turn: the close frame follows. */
  sendAccepted(): void {
    this.#advancing = false;
    this.#advance(true);
  }

  /** Rejects the open writer and every waiting call. No message is accepted any more. */
  rejectAll({ error }: WriteEnd): void {
    const { writer } = this;
    this.writer = undefined;
    this.#on(LAST);
    writer?.fail(error);
    this.#stopWatch();
    for (let write = this.#shift(); write !== undefined; write = this.#shift()) write.reject(error);
  }

  // A writer that its owner has forgotten

  /** Called when a call waits, or when another one has become the first. */
  #watch(): void {
    if (this.slot !== undefined) return;
    const { writer } = this;
    const first = this.#queue.peek();
    if (writer === undefined || first === undefined || writer === this.#reported) return;
    this.#watched = { writer, calls: writer.calls, first };
    this.#connection.shared.timers.set(this, PATIENCE_MS);
  }

  #stopWatch(): void {
    this.#connection.shared.timers.clear(this);
    this.#watched = undefined;
  }

  /**
   * Reports the writer if the same call has waited for it, and its owner made no call meanwhile. Each
   * writer is reported once.
   */
  fire(): void {
    const { writer } = this;
    const watched = this.#watched;
    this.#watched = undefined;
    const isSame = watched?.writer === writer && watched?.first === this.#queue.peek();
    if (!isSame || writer?.idle !== true || writer.calls !== watched?.calls) return this.#watch();
    this.#reported = writer;
    const text = `a message has waited ${PATIENCE_MS} ms for an idle MessageWriter; close() the writer`;
    this.#connection.report(new TimeoutError(text), 'nextWriter');
  }
}
