import type { CloseInfo, ConnLike, MessageHandler } from '@ws/conn';
import { Deferred, internalsOf, RESOLVED } from '@ws/conn/internal';
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
  /** Bytes of the messages that wait for a reader; read from the connection if absent. */
  readonly unreadBytes?: number;
};

/** A connection in the order of the dials. */
interface Link<C> {
  readonly conn: C;
  readonly reads: Reads;
  readonly closed: Promise<CloseInfo>;
  /** Number of the connection, from 1. */
  readonly number: number;
}

/**
 * The connections of one client, in the order of the dials. Each reader reads one after the other.
 * A connection that has ended is kept until its messages are read. The next dial waits for a reader that
 * reads the last connection, or for a message to send.
 */
export class ConnectionChain<C extends ConnLike> {
  /** The connections that no reader has read to the end, at least the open one. */
  #links: Link<C>[] = [];
  #opened = 0;
  /** Resolves with the next connection, or with undefined at the end. */
  #next = new Deferred<Link<C> | undefined>();
  /** Number of the newest connection that a reader has begun to read. */
  #begun = 0;
  /**
   * For each reader, the connections that it has not begun to read. Not a linked list: V8 may keep an
   * old link in a register of a generator, and with it all later ones.
   */
  readonly #readers = new Set<Link<C>[]>();
  /** Whether a message waits for the next connection. */
  #isWanted = false;
  /** Whether `reconnect` has asked for the next connection, which bytes that wait do not delay. */
  #isForced = false;
  /** Resolves when the next dial may follow. */
  #dialWait: Deferred<void> | undefined;

  opened(conn: C, reads: Reads, closed: Promise<CloseInfo>): void {
    const link: Link<C> = { conn, reads, closed, number: ++this.#opened };
    for (const unread of this.#readers) unread.push(link);
    this.#links.push(link);
    this.#isWanted = this.#isForced = false;
    this.#next.resolve(link);
    this.#next = new Deferred();
    void closed.then(() => this.#dropEmpty());
  }

  /** Called when no connection follows. */
  finish(): void {
    this.#next.resolve(undefined);
  }

  /**
   * Requests the next connection. A reader that is behind may wait for a message to be sent there.
   *
   * @param isForced - Whether the messages that wait for a reader do not matter.
   */
  want(isForced: boolean): void {
    this.#isWanted = true;
    this.#isForced ||= isForced;
    this.#letDial();
  }

  /** Resolves when the next dial may follow. */
  mayDial(): Promise<void> {
    this.#dialWait = new Deferred();
    this.#letDial();
    return this.#dialWait?.promise ?? RESOLVED;
  }

  /**
   * The connections for one reader: those with unread messages, then all later ones.
   *
   * @param signal - Its abort ends the generator, also during a wait for a connection.
   */
  async *read(signal: AbortSignal): AsyncGenerator<Link<C>, undefined> {
    const unread = [...this.#links];
    this.#readers.add(unread);
    this.#letDial();
    try {
      while (!signal.aborted) {
        const link = unread.shift();
        if (link !== undefined) {
          this.#begin(link);
          yield link;
          // A reader that was left has not read the rest.
          if (!signal.aborted) this.#drop(link);
          await untilAborted(signal, link.closed);
        } else if ((await untilAborted(signal, this.#next.promise)) === undefined) break;
      }
    } finally {
      this.#readers.delete(unread);
    }
    return undefined;
  }

  /** Called when a reader begins to read `link`. */
  #begin(link: Link<C>): void {
    this.#begun = Math.max(this.#begun, link.number);
    this.#letDial();
  }

  /** A reader has read `link` to its end. */
  #drop(link: Link<C>): void {
    this.#links = this.#links.filter((other) => other !== link);
    this.#letDial();
  }

  /** A connection that has ended without an unread message is of no use to a later reader. */
  #dropEmpty(): void {
    const last = this.#opened;
    this.#links = this.#links.filter(
      (link) => unreadOf(link) !== 0 || (link.number === last && link.conn.state !== 'closed'),
    );
  }

  #letDial(): void {
    if (this.#dialWait === undefined || !this.#canDial()) return;
    this.#dialWait.resolve();
    this.#dialWait = undefined;
  }

  #canDial(): boolean {
    for (const unread of this.#readers) if (unread.length === 0) return true;
    if (!this.#isWanted || this.#opened - this.#begun >= MAX_UNREAD) return false;
    return this.#isForced || this.#hasRoom();
  }

  /** Whether the messages of all connections that wait for a reader are within `readAhead`. */
  #hasRoom(): boolean {
    let bytes = 0;
    let most = Infinity;
    for (const link of this.#links) {
      bytes += unreadOf(link) ?? 0;
      most = internalsOf(link.conn).readAhead ?? most;
    }
    return bytes < most;
  }
}

/** Bytes of the messages of `link` that wait for a reader; undefined when that is unknown. */
function unreadOf<C extends ConnLike>({ conn, reads }: Link<C>): number | undefined {
  return reads.unreadBytes ?? internalsOf(conn).unreadBytes;
}
