import type { CloseInfo, ConnLike, MessageHandler } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { untilAborted } from './waits.ts';

/**
 * While a reader is behind by fewer connections, a message to send or `reconnect` lets the next dial
 * follow. Each of these connections keeps its messages, up to its read-ahead.
 */
const MAX_UNREAD = 64;

/** Reads the messages of one connection. */
export type Reads = Pick<ConnLike, typeof Symbol.asyncIterator> & {
  receive(handler: MessageHandler): Promise<unknown>;
  /** The error of a failed handler of `receive`; read from the connection if absent. */
  readonly failure?: unknown;
};

/** A connection in the order of the dials. */
interface Link<C> {
  readonly conn: C;
  readonly reads: Reads;
  readonly closed: Promise<CloseInfo>;
  /** Number of the connection, from 1. */
  readonly number: number;
  /** Resolves when the dial after this connection need not wait for a reader. */
  readonly mayDial: Deferred<void>;
}

/**
 * The connections of one client, in the order of the dials. Each reader reads one after the other.
 * The next dial waits until a reader has begun to read the last connection.
 */
export class ConnectionChain<C> {
  #last: Link<C> | undefined;
  /** Whether the last connection is still in use. */
  #isOpen = false;
  /** Resolves with the next connection, or with undefined at the end. */
  #next = new Deferred<Link<C> | undefined>();
  /** Number of the newest connection that a reader has begun to read. */
  #begun = 0;
  /**
   * For each reader, the connections that it has not begun to read. Not a linked list: V8 may keep an
   * old link in a register of a generator, and with it all later ones.
   */
  readonly #unread = new Set<Link<C>[]>();
  /** Whether a message or a call of `reconnect` waits for the next connection. */
  #isWanted = false;

  opened(conn: C, reads: Reads, closed: Promise<CloseInfo>): void {
    const number = (this.#last?.number ?? 0) + 1;
    const link: Link<C> = { conn, reads, closed, number, mayDial: new Deferred() };
    for (const unread of this.#unread) unread.push(link);
    this.#last = link;
    this.#isOpen = true;
    this.#isWanted = false;
    this.#next.resolve(link);
    this.#next = new Deferred();
  }

  /** Called when the last connection has closed. */
  closed(): void {
    this.#isOpen = false;
  }

  /** Called when no connection follows. */
  finish(): void {
    this.#next.resolve(undefined);
  }

  /** Requests the next connection. A reader that is behind may wait for a message to be sent there. */
  want(): void {
    this.#isWanted = true;
    this.#letDial();
  }

  /** Resolves when the next dial need not wait for a reader. */
  async mayDial(): Promise<void> {
    if (this.#unread.size > 0) await this.#last?.mayDial.promise;
  }

  /**
   * The connections for one reader: the open or the next connection, then all later ones.
   *
   * @param signal - Its abort ends the generator, also during a wait for a connection.
   */
  async *read(signal: AbortSignal): AsyncGenerator<Link<C>, undefined> {
    const unread: Link<C>[] = this.#isOpen && this.#last ? [this.#last] : [];
    this.#unread.add(unread);
    try {
      while (!signal.aborted) {
        const link = unread.shift();
        if (link !== undefined) {
          this.#begin(link);
          yield link;
          await untilAborted(signal, link.closed);
        } else if ((await untilAborted(signal, this.#next.promise)) === undefined) break;
      }
    } finally {
      this.#unread.delete(unread);
      if (this.#unread.size === 0) this.#last?.mayDial.resolve();
    }
    return undefined;
  }

  /** Called when a reader begins to read `link`. */
  #begin(link: Link<C>): void {
    this.#begun = Math.max(this.#begun, link.number);
    link.mayDial.resolve();
    this.#letDial();
  }

  #letDial(): void {
    const last = this.#last;
    if (!this.#isWanted || last === undefined) return;
    if (last.number - this.#begun < MAX_UNREAD) last.mayDial.resolve();
  }
}
