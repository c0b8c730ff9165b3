import { CloseMessage } from '@ws/codec';
import type { Conn } from './conn.ts';
import type { Connection } from './connection/connection.ts';
import { codeAfterError } from './connection/end-errors.ts';
import type { ConnInternals } from './internals.ts';
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

/** The {@link ConnInternals} of a Conn. Made for each use: an idle connection keeps none. */
export class InternalsOfConn implements Required<ConnInternals> {
  readonly #conn: Conn;
  readonly connection: Connection;

  constructor(conn: Conn, connection: Connection) {
    this.#conn = conn;
    this.connection = connection;
  }

  get failure(): unknown {
    return this.connection.failure;
  }

  get closeTimeout(): number {
    return this.connection.settings.closeTimeout;
  }

  get closed(): Promise<CloseInfo> {
    return this.connection.closedPromise();
  }

  closeAfterError(error: unknown): Promise<CloseInfo> {
    const { connection } = this;
    const { ending, machine } = connection;
    // After the end of the peer, its reader rejects with that end: our answer follows.
    const isEnd = machine.answerIsDue && ending?.isKnownEnd(error) === true;
    if (!isEnd) connection.fail(error, codeAfterError(error), '');
    return connection.closedPromise();
  }

  untilWritable(): Promise<void> | undefined {
    return this.connection.outbox.untilWritable();
  }

  sendWaiting({ type, data }: Message): Promise<void> {
    try {
      return this.connection.outbox.sendBacklog(type, data);
    } catch (error) {
      return this.connection.rejected(error, 'send');
    }
  }

  get maxBufferedAmount(): number {
    return this.connection.settings.maxBufferedAmount;
  }

  countKept(bytes: number): boolean {
    const { connection } = this;
    const rare = connection.rareParts();
    rare.keptBytes += bytes;
    if (bytes < 0) rare.takenBytes -= bytes;
    return connection.platform.writeBudget?.accepts(connection, 0) !== false;
  }

  get platform(): Platform {
    return this.connection.platform;
  }

  report(error: unknown, where: string): void {
    this.connection.report(error, where);
  }

  // Reading

  get messagesLost(): number {
    return this.connection.rare?.messagesLost ?? 0;
  }

  get dropsInput(): boolean {
    return this.connection.inbox.dropping;
  }

  connHandlerStarted(): void {
    this.connection.inbox.connHandlerRuns = true;
  }

  connHandlerSettled(): void {
    const { ending, inbox } = this.connection;
    inbox.connHandlerRuns = false;
    inbox.hasRead = inbox.receiveCall !== undefined;
    if (ending !== undefined) this.connection.scheduleEndOfTurn();
  }

  readsLater(): void {
    this.connection.inbox.hasRead = true;
  }

  receiveThen(handler: MessageHandler, end: ReceiveEnd<Conn>): Promise<void> {
    return receiveThen(this.connection, handler, end);
  }

  observeReceive(result: unknown, observer: ReceiveObserver<Conn>): boolean {
    const { receiveCall } = this.connection.inbox;
    if (result !== undefined && result === receiveCall) receiveCall.observe(observer, this.#conn);
    else return false;
    return true;
  }

  get unfinishedReceive(): Promise<unknown> | undefined {
    const { connHandlerRuns, receiveCall } = this.connection.inbox;
    return connHandlerRuns ? undefined : receiveCall;
  }

  // Writing

  observeWrites(observer: (conn: unknown) => void): void {
    this.connection.rareParts().observeWrites(observer);
  }

  encodesElsewhere(size: number): boolean {
    const { machine, outbox } = this.connection;
    const { waitingWrites } = outbox;
    return waitingWrites?.encodes === true && !machine.blocked && outbox.flushForRoom(size);
  }

  awaitsWriter(size: number): boolean {
    const { machine, outbox } = this.connection;
    const { waitingWrites } = outbox;
    return waitingWrites?.writer !== undefined && !machine.blocked && outbox.flushForRoom(size);
  }

  sendUnencoded(send: () => void): void {
    this.connection.outbox.sendUnencoded(send);
  }

  sendPrepared(message: PreparedMessage, waited: boolean): boolean {
    const { type, bytes } = message;
    const { outbox } = this.connection;
    try {
      const { length } = bytes;
      if (!(waited ? outbox.withinTotal(length) : outbox.flushForRoom(length))) return false;
      if (type < CloseMessage) void outbox.sendPrepared(message, true);
      else void this.#conn.writePreparedMessage(message);
      return true;
    } catch {
      // For example no memory for the compressor of this connection, or a transport that throws.
      // Other connections still get the message.
      return false;
    }
  }

  sendAll(messages: readonly PreparedMessage[]): boolean {
    return this.connection.outbox.sendAll(messages);
  }

  // The close

  endedWith(error: unknown): boolean {
    return this.connection.endedWith(error);
  }

  startClose(payload: Uint8Array, timeout: number, discard: boolean): void {
    this.connection.endingOrNew().ourClose(payload, timeout, discard);
  }
}
