import type { CloseInfo, ConnLike, MessageHandler } from '@ws/conn';
import { Deferred, internalsOf, RESOLVED } from '@ws/conn/internal';
import { untilAborted } from './waits.ts';

/**
 * While fewer connections have unread messages, a message to send or `reconnect` lets the next dial
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
  /** Whether the connection has closed. */
  isClosed: boolean;
}

/** A loop, or a call of `receive`. */
type Reader<C> = {
  /**
   * The connections that this reader has not begun to read. Not a linked list: V8 may keep an old link
   * in a register of a generator, and with it all later ones.
   */
  unread: Link<C>[];
  /** Whether this reader has begun to read the last connection. */
  readsLast: boolean;
  /** Ends the wait for the next connection. */
  wake: () => void;
};

/**
 * The connections of one client, in the order of the dials. Each reader reads one after the other.
 * A connection that has ended is kept until its messages are read. The next dial waits for a reader that
 * reads the last connection, or for a message to send.
 */
export class ConnectionChain<C extends ConnLike> {
  /** The connections that are open, or that no reader has read to the end. */
  #links: Link<C>[] = [];
  readonly #readers = new Set<Reader<C>>();
  /** Whether no connection follows. */
  #isFinished = false;
  /** Whether a message waits for the next connection. */
  #isWanted = false;
  /** Whether `reconnect` has asked for the next connection, which bytes that wait do not delay. */
  #isForced = false;
  /** Resolves when the next dial may follow. */
  #dialWait: Deferred<void> | undefined;

  opened(conn: C, reads: Reads, closed: Promise<CloseInfo>): void {
    const link: Link<C> = { conn, reads, closed, isClosed: false };
    this.#links.push(link);
    this.#isWanted = this.#isForced = false;
    for (const reader of this.#readers) {
      reader.unread.push(link);
      reader.readsLast = false;
      reader.wake();
    }
    void closed.then(() => {
      link.isClosed = true;
      this.#drop(isEmpty);
    });
  }

  /** Called when no connection follows. */
  finish(): void {
    this.#isFinished = true;
    for (const reader of this.#readers) reader.wake();
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
    const reader: Reader<C> = { unread: [...this.#links], readsLast: false, wake: () => {} };
    signal.addEventListener('abort', () => reader.wake());
    this.#readers.add(reader);
    try {
      while (!signal.aborted) {
        const link = reader.unread.shift();
        reader.readsLast = reader.unread.length === 0;
        this.#letDial();
        if (link !== undefined) {
          yield link;
          // A reader that was left has not read the rest.
          if (signal.aborted) break;
          this.#drop((other) => other === link);
          await untilAborted(signal, link.closed);
        } else if (this.#isFinished) break;
        else await new Promise<void>((resolve) => (reader.wake = resolve));
      }
    } finally {
      this.#readers.delete(reader);
    }
    return undefined;
  }

  /** Drops connections that were read to the end: the other readers get nothing from them. */
  #drop(isRead: (link: Link<C>) => boolean): void {
    const isKept = (link: Link<C>): boolean => !isRead(link);
    this.#links = this.#links.filter(isKept);
    for (const reader of this.#readers) reader.unread = reader.unread.filter(isKept);
    this.#letDial();
  }

  #letDial(): void {
    if (this.#dialWait === undefined || !this.#canDial()) return;
    this.#dialWait.resolve();
    this.#dialWait = undefined;
  }

  #canDial(): boolean {
    for (const { readsLast } of this.#readers) if (readsLast) return true;
    if (!this.#isWanted || this.#links.length >= MAX_UNREAD) return false;
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

/**
 * Whether `link` has closed without an unread message, and is of no use to a reader. A reader gets an
 * error if messages were dropped.
 */
function isEmpty<C extends ConnLike>(link: Link<C>): boolean {
  return link.isClosed && unreadOf(link) === 0 && !internalsOf(link.conn).messagesLost;
}
