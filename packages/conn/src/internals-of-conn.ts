import { CloseMessage } from '@ws/codec';
import type { Connection } from './connection/connection.ts';
import { codeAfterError } from './connection/end-errors.ts';
import { rememberEvents } from './connection/inbox.ts';
import { sendAll, sendBacklog, sendPrepared } from './connection/messages.ts';
import { WILL_READ } from './connection/reader.ts';
import { askNow } from './control/heartbeat.ts';
import type { Message } from './message.ts';
import type { CloseInfo } from './platform/observer.ts';
import type { Platform } from './platform/platform.ts';
import {
  type MessageHandler,
  type ReceiveEnd,
  type ReceiveObserver,
  receiveThen,
} from './read/receive-call.ts';
import type { PreparedMessage } from './writing/prepared-message.ts';

/** The part of a `Conn` that its internals call. */
type Owner = { writePreparedMessage(message: PreparedMessage): Promise<void> };

/** The methods of a `Conn` that only the library calls. Each use creates a new object. */
export class InternalsOfConn<Conn extends Owner> {
  readonly #conn: Conn;
  /** @internal Internal, so that the published types need no `Connection`. */
  readonly connection: Connection;

  /** @internal Internal for the same reason. */
  constructor(conn: Conn, connection: Connection) {
    this.#conn = conn;
    this.connection = connection;
  }

  /** The error with which this end has failed the connection, if any. */
  get failure(): unknown {
    return this.connection.machine.failed?.error;
  }

  /** The peer's close frame, unless it answers ours: see {@link Ending.isAnswered}. */
  get peerClose(): Pick<CloseInfo, 'code' | 'reason'> | undefined {
    const { ending, machine } = this.connection;
    return ending?.isAnswered === true ? undefined : machine.received;
  }

  /** Finds out whether the peer lives: the process may have slept. See {@link askNow}. */
  wake(): void {
    askNow(this.connection);
  }

  /** The longest time of a closing handshake, in ms. */
  get closeTimeout(): number {
    return this.connection.settings.closeTimeout;
  }

  get closed(): Promise<CloseInfo> {
    return this.connection.closedPromise();
  }

  /** Fails the connection with an application's error: 1013 for a BackpressureError, else 1011. */
  closeAfterError(error: unknown): Promise<CloseInfo> {
    const { connection } = this;
    const { ending, machine } = connection;
    // If the error is the peer's close itself, our answer to that close follows. A write that came too
    // late does not change how the connection ends.
    const isEnd =
      (machine.answerIsDue && ending?.reasons.isKnownEnd(error) === true) ||
      ending?.reasons.isLateAnswer(error) === true;
    if (!isEnd) connection.fail(error, codeAfterError(error), '');
    return connection.closedPromise();
  }

  /** See {@link Outbox.untilWritable}. */
  untilWritable(): Promise<void> | undefined {
    return this.connection.outbox.untilWritable();
  }

  /** Sends a message that has waited for room. `maxBufferedAmount` does not apply. */
  sendWaiting({ type, data }: Message): Promise<void> {
    try {
      return sendBacklog(this.connection, type, data);
    } catch (error) {
      return this.connection.rejected(error, 'send');
    }
  }

  /** The option `maxBufferedAmount`, in bytes. */
  get maxBufferedAmount(): number {
    return this.connection.settings.maxBufferedAmount;
  }

  /**
   * Counts messages that a reader keeps for later, as a part of `maxTotalBufferedAmount`.
   *
   * @param bytes - Negative for messages that the reader has taken.
   * @param isLasting - Whether the reader keeps them also after the end of the connection, until it
   *   has counted them as taken.
   * @returns Whether the reader may keep more.
   */
  countKept(bytes: number, isLasting: boolean): boolean {
    const { connection } = this;
    const reads = connection.controlOrNew().readsOrNew();
    reads.keptBytes += bytes;
    if (isLasting) reads.lastingBytes += bytes;
    if (bytes < 0) reads.freedBytes -= bytes;
    return connection.platform.writeBudget?.accepts(connection, 0) !== false;
  }

  get platform(): Platform {
    return this.connection.platform;
  }

  /** Passes an error of the application to the option `report`. */
  report(error: unknown, where: string): void {
    this.connection.report(error, where);
  }

  // Reading

  /** The option `readAhead`, in bytes. */
  get readAhead(): number {
    return this.connection.settings.readAhead;
  }

  /** Cost in bytes of the messages that wait for a reader; after the end of the transport, of all input. */
  get unreadBytes(): number {
    const { inbox, machine } = this.connection;
    if (inbox.drops) return inbox.readAhead?.cost ?? 0;
    return (
      (inbox.readAhead?.cost ?? 0) +
      (inbox.pieces === undefined ? 0 : 1) +
      (machine.input?.pending === true ? 1 : 0)
    );
  }

  /** Number of dropped messages that a reader may have wanted. */
  get messagesLost(): number {
    return this.connection.control?.reads?.messagesLost ?? 0;
  }

  /** Whether a part of the peer's messages has arrived and waits for its reader, or for a rate. */
  get inputWaits(): boolean {
    const { inbox, machine, paused } = this.connection;
    return paused || inbox.readAhead?.empty === false || machine.input?.pending === true;
  }

  /** Whether the connection drops the messages that arrive. */
  get dropsInput(): boolean {
    return this.connection.inbox.drops;
  }

  /** Called when the application's handler starts. While it runs, our answer to a close frame waits. */
  connHandlerStarted(): void {
    this.connection.inbox.on(WILL_READ);
  }

  /**
   * Called once when the application's handler has settled. Unless one of its loops or streams is open,
   * the last read message is handled: the connection answers a close frame that has arrived after it.
   */
  connHandlerSettled(): void {
    this.connection.inbox.readerLeft();
  }

  /** As `receive`, but settles as the promise of `end`. Costs less than `then`. */
  receiveThen(handler: MessageHandler, end: ReceiveEnd<Conn>): Promise<void> {
    return receiveThen(this.connection, handler, end);
  }

  /**
   * Calls `observer` when `result` settles, if `result` is the pending `receive` or `discardReads`
   * of this connection. Costs less than `then`.
   *
   * @returns False when `result` is another value.
   */
  observeReceive(result: unknown, observer: ReceiveObserver<Conn>): boolean {
    const { receiveCall } = this.connection.inbox;
    if (receiveCall === undefined || result !== receiveCall) return false;
    receiveCall.observe(observer);
    return true;
  }

  /**
   * The promise of a `receive` or `discardReads` that is still pending after the application's
   * handler has settled, if any.
   */
  get unfinishedReceive(): Promise<unknown> | undefined {
    const { readers, receiveCall } = this.connection.inbox;
    return readers > 0 ? undefined : receiveCall;
  }

  /**
   * For debugging. Calls `tell` after a bug in this library that has failed the connection with 1011, with
   * the last 16 events of the reader, each with the state in which it came: `BUSY × CALL`.
   */
  rememberEvents(tell: (events: readonly string[]) => void): void {
    rememberEvents(this.connection, tell);
  }

  // Writing

  /** See {@link WriteTerms.observe}. */
  observeWrites(observer: (conn: unknown) => void): void {
    this.connection.controlOrNew().writesOrNew().observe(observer);
  }

  /** Whether only an open MessageWriter delays writes, and `size` more bytes may wait. */
  awaitsWriter(size: number): boolean {
    const { machine, outbox } = this.connection;
    return outbox.queue?.writer !== undefined && !machine.blocked && outbox.flushForRoom(size);
  }

  /**
   * Sends a message together with the other messages of this turn.
   *
   * @param waited - Whether the message has waited in a queue of the caller. `maxBufferedAmount`
   *   then does not apply.
   * @returns Whether the connection accepted the message.
   */
  sendPrepared(message: PreparedMessage, waited: boolean): boolean {
    const { type, bytes } = message;
    const { outbox } = this.connection;
    try {
      const { length } = bytes;
      if (!(waited ? outbox.withinTotal(length) : outbox.flushForRoom(length))) return false;
      if (type < CloseMessage) void sendPrepared(this.connection, message, true);
      else void this.#conn.writePreparedMessage(message);
      return true;
    } catch {
      // For example, there is no memory, or the transport throws. Other connections must continue.
      return false;
    }
  }

  /**
   * Sends text and binary messages together, if the connection is idle and does not compress. Many
   * connections that send the same array in one turn share its frames.
   *
   * @returns False when nothing was sent. Send the messages one by one then.
   */
  sendAll(messages: readonly PreparedMessage[]): boolean {
    return sendAll(this.connection, messages);
  }

  // Close

  /** See {@link Control.lastWrite}. */
  answerAfter(lastWrite: Promise<void>): void {
    this.connection.controlOrNew().lastWrite = lastWrite;
  }

  /** Whether `error` is the error of reads or writes after the end of the connection. */
  endedWith(error: unknown): boolean {
    return this.connection.endedWith(error);
  }

  /**
   * As `Conn.close` with a timeout, but without a promise and checks. For a server that closes many
   * connections. The server itself must keep the process alive.
   *
   * @param payload - A valid payload of a close frame.
   */
  startClose(payload: Uint8Array, timeout: number, discard: boolean): void {
    this.connection.endingOrNew().ourClose(payload, timeout, discard);
  }
}
