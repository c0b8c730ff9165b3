import { BinaryMessage, CloseCode, TextMessage } from '@ws/codec';
import type { Conn } from './conn.ts';
import type { Connection } from './connection/connection.ts';
import type { ConnInternals } from './internals.ts';
import type { Message } from './message.ts';
import type { CloseInfo } from './platform/observer.ts';
import type { Platform } from './platform/platform.ts';
import { ReceiveCall, type ReceiveObserver } from './read/receive-call.ts';
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
    return this.connection.closed;
  }

  closeAfterError(): Promise<CloseInfo> {
    return this.#conn.close(CloseCode.InternalServerErr);
  }

  untilWritable(): Promise<void> | undefined {
    return this.connection.writer.untilWritable();
  }

  sendWaiting({ type, data }: Message): Promise<void> {
    try {
      return this.connection.writer.sendBacklog(type, data);
    } catch (error) {
      return this.connection.rejected(error, 'send');
    }
  }

  get platform(): Platform {
    return this.connection.platform;
  }

  // Reading

  get messagesLost(): number {
    return this.connection.rare?.messagesLost ?? 0;
  }

  get dropsInput(): boolean {
    return this.connection.input.dropping;
  }

  handlerStarted(): void {
    this.connection.reader.attention.handlerRuns = true;
  }

  handlerSettled(): void {
    this.connection.handlerSettled();
  }

  loopBegins(): void {
    this.connection.reader.attention.loopBegins();
  }

  loopLeft(): void {
    this.connection.reader.attention.loopLeft();
  }

  observeReceive(result: unknown, observer: ReceiveObserver<Conn>): boolean {
    if (!ReceiveCall.is(result)) return false;
    result.observe(observer, this.#conn);
    return true;
  }

  get unfinishedReceive(): Promise<unknown> | undefined {
    const { reader } = this.connection;
    return reader.attention.handlerRuns ? undefined : reader.receiveCall;
  }

  // Writing

  observeWrites(observer: (conn: unknown) => void): void {
    this.connection.observeWrites(observer);
  }

  encodesElsewhere(size: number): boolean {
    return this.connection.writer.encodesElsewhere(size);
  }

  awaitsWriter(size: number): boolean {
    return this.connection.writer.awaitsWriter(size);
  }

  sendUnencoded(send: () => void): void {
    this.connection.writer.sendUnencoded(send);
  }

  sendPrepared(message: PreparedMessage, waited: boolean): boolean {
    const { type, bytes } = message;
    const { writer } = this.connection;
    if (!waited && !writer.accepts(bytes.length)) return false;
    if (type !== TextMessage && type !== BinaryMessage) {
      void this.#conn.writePreparedMessage(message);
      return true;
    }
    try {
      void writer.sendPrepared(message, true);
      return true;
    } catch {
      // For example no memory for the compressor of this connection. Other connections still get
      // the message.
      return false;
    }
  }

  sendRun(messages: readonly PreparedMessage[]): boolean {
    return this.connection.writer.sendRun(messages);
  }

  // The close

  endedWith(error: unknown): boolean {
    return this.connection.endedWith(error);
  }

  startClose(payload: Uint8Array, timeout: number, discard: boolean): void {
    this.connection.startClose(payload, timeout, discard);
  }
}
