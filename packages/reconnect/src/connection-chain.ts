import type { CloseInfo, ConnLike, MessageHandler } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { untilAborted } from './waits.ts';

/**
 * A message or `reconnect` lets the next dial follow while a reader is behind by fewer connections. A
 * reader keeps the messages of each of them, up to its read-ahead.
 */
const MAX_UNREAD = 64;

/** The reader of the messages of a connection. */
export type Reads = Pick<ConnLike, typeof Symbol.asyncIterator> & {
  receive(handler: MessageHandler): Promise<unknown>;
  /** The error with which the handler of `receive` has failed, if it is not the connection's. */
  readonly failure?: unknown;
};

/** A connection in the order of the dials. */
interface Link<C> {
  readonly conn: C;
  readonly reads: Reads;
  readonly closed: Promise<CloseInfo>;
  /** Number of the connection, from 1. */
  readonly number: number;
  /** Resolves when the dial after this connection waits for no reader. */
  readonly mayDial: Deferred<void>;
}

/**
 * The connections of one client, in the order of the dials. Each reader reads one after the other.
 * The next dial waits until a reader has begun with the last connection.
 */
export class ConnectionChain<C> {
  #last: Link<C> | undefined;
  /** Whether the last connection is still in use. */
  #isOpen = false;
  /** Readers wait for it: the next connection resolves it, or the end with undefined. */
  #next = new Deferred<Link<C> | undefined>();
  /** Number of the newest connection that a reader has begun. */
  #begun = 0;
  /**
   * The connections that each reader has not begun. No link leads to the next one: V8 may keep an old
   * link in a register of a generator, and with it all later ones.
   */
  readonly #unread = new Set<Link<C>[]>();
  /** Whether a message waits for the next connection, or `reconnect` does. */
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

  /** The last connection has closed. */
  closed(): void {
    this.#isOpen = false;
  }

  /** No connection follows. */
  finish(): void {
    this.#next.resolve(undefined);
  }

  /** The next connection is wanted, for a message that the reader that is behind may have sent. */
  want(): void {
    this.#isWanted = true;
    this.#letDial();
  }

  /** Resolves when the next dial waits for no reader. */
  async mayDial(): Promise<void> {
    if (this.#unread.size > 0) await this.#last?.mayDial.promise;
  }

  /**
   * The connections of one reader: the open one or the next one, and those after it.
   *
   * @param left - Ends the wait for a connection when it aborts.
   */
  async *read(left: AbortSignal): AsyncGenerator<Link<C>, undefined> {
    const unread: Link<C>[] = this.#isOpen && this.#last ? [this.#last] : [];
    this.#unread.add(unread);
    try {
      while (!left.aborted) {
        const link = unread.shift();
        if (link !== undefined) {
          this.#begin(link);
          yield link;
          await untilAborted(left, link.closed);
        } else if ((await untilAborted(left, this.#next.promise)) === undefined) break;
      }
    } finally {
      this.#unread.delete(unread);
      if (this.#unread.size === 0) this.#last?.mayDial.resolve();
    }
    return undefined;
  }

  /** A reader begins with the messages of `link`. */
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
