import type { Conn, DataType } from '@ws/node-client';
import { closeGently } from './connections.ts';
import type { Outgoing, OutgoingWriter } from './input.ts';

/** Sends messages to the peer: over one connection, or over one after the other with `--reconnect`. */
export class PeerSender implements Outgoing {
  readonly #reconnects: boolean;
  readonly #isBlocked: () => boolean;
  readonly #ended = new AbortController();
  readonly #noDial = new AbortController();
  /** Aborts when no connection follows. */
  readonly ended: AbortSignal = this.#ended.signal;
  /** Aborts when {@link close} finds no open connection: no dial follows, and the current one ends. */
  readonly noDial: AbortSignal = this.#noDial.signal;
  /** Undefined between two connections. */
  #conn: Conn | undefined;
  #waiting: (() => void)[] = [];
  /** The last message that was sent. */
  #sent: Promise<void> | undefined;
  /** What this end has closed with. */
  closing: { readonly code: number; readonly reason: string } | undefined;

  /** @param isBlocked - Whether stdout has a slow reader. */
  constructor(reconnects: boolean, isBlocked: () => boolean) {
    this.#reconnects = reconnects;
    this.#isBlocked = isBlocked;
  }

  attach(conn: Conn): void {
    this.#conn = conn;
    for (const each of this.#waiting.splice(0)) each();
  }

  detach(): void {
    this.#conn = undefined;
  }

  end(): void {
    this.#ended.abort();
    for (const each of this.#waiting.splice(0)) each();
  }

  send(type: DataType, bytes: Uint8Array): Promise<void> | undefined {
    if (this.#reconnects) return this.#sendAgain(type, bytes);
    this.#sent = this.#conn?.writeMessage(type, bytes);
    return undefined;
  }

  ready(): Promise<void> | undefined {
    return this.#sent;
  }

  async open(type: DataType): Promise<OutgoingWriter> {
    const conn = await this.connected();
    return conn.nextWriter(type, { queue: true });
  }

  /** @throws Error when no connection follows. */
  async connected(): Promise<Conn> {
    while (this.#conn === undefined) {
      if (this.ended.aborted) throw new Error('the connection has ended');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this.#conn;
  }

  /** A rejected write has sent nothing: the next connection gets the message. */
  async #sendAgain(type: DataType, bytes: Uint8Array): Promise<void> {
    for (;;) {
      const conn = await this.connected();
      try {
        return await conn.writeMessage(type, bytes);
      } catch (error) {
        if (this.closing !== undefined) throw error;
        await conn.closed;
        if (this.#conn === conn) this.#conn = undefined;
      }
    }
  }

  /** Closes the open connection, or ends the dial. The first call decides about code and reason. */
  close(code = 1000, reason = ''): void {
    const conn = this.#conn;
    if (conn === undefined) this.#noDial.abort();
    else if (this.closing === undefined) void closeGently(conn, code, reason, this.#isBlocked);
    this.closing ??= { code, reason };
  }
}
