import {
  BackpressureError,
  CloseCode,
  CloseError,
  type CloseInfo,
  type Conn,
  type ConnLike,
  type MessageHandler,
  type Platform,
  portablePlatform,
} from '@ws/conn';
import { internalsOf, RESOLVED, rejected, reportError } from '@ws/conn/internal';
import { ErrorCode } from './rpc-error.ts';
import { errorText, type Id } from './wire.ts';

/** Called with the text of a message that a hub has accepted, and drops for a later one. */
export type Dropped = (error: BackpressureError, text: string) => void;

/** The close code of a page with too many waiting messages, as for `maxQueuedBytes` of `@ws/browser`. */
const PAGE_OVERLOAD = 3008;

/** Least time between two reports of one kind, in ms. */
const REPORT_MS = 1_000;
/** Further kinds of reports share one interval: a peer could add kinds by its error codes. */
const MAX_KINDS = 100;

/** What a connection by itself, a session of a hub and a ReconnectingConn have in common. */
export type Way = Pick<ReconnectingConnLike, 'conn' | 'reading'>;

/**
 * Sends the messages of a {@link Link}: over a connection, a session of a hub, or a series of
 * connections. Over a session, rpc messages and the hub's publications keep one order.
 */
export class Carrier {
  readonly #way: Way;
  readonly session: SessionLike | undefined;
  /** Whether a listener of the contract reads the peer's messages. Otherwise no answer arrives. */
  hasReader = false;
  /** The time of the last report of each kind, in ms of the platform's clock. */
  #reportedAt: Map<string, number> | undefined;

  constructor(way: Way, session?: SessionLike) {
    this.#way = way;
    this.session = session;
  }

  /** The connection on which messages are sent; undefined while there is none. */
  get connection(): ConnLike | undefined {
    return this.#way.conn;
  }

  /** The connection on which the message that is being handled has arrived. */
  get messageConnection(): ConnLike | undefined {
    return this.#way.reading ?? this.#way.conn;
  }

  get platform(): Platform {
    const { connection } = this;
    return (connection && internalsOf(connection).platform) ?? portablePlatform;
  }

  /** Whether `connection` is open, and the one on which messages are sent. */
  isOpen(connection: ConnLike | undefined): boolean {
    return connection === this.connection && connection?.state === 'open';
  }

  /**
   * Sends a message. The carrier must have a connection.
   *
   * @param dropped - Called when a hub drops the message later.
   * @returns Undefined when the connection, or a hub, has accepted the message. Else a promise that
   *   rejects when the message is not sent.
   */
  send(text: string, dropped: Dropped): Promise<void> | undefined {
    const { session } = this;
    if (session !== undefined) return sendIn(session, text, dropped);
    const sent = this.#way.conn!.send(text);
    return sent === RESOLVED ? undefined : sent;
  }

  /**
   * Resolves when the connection may have room for a message. May reject.
   *
   * @returns Undefined when there is room now, or no connection.
   */
  untilWritable(): Promise<void> | undefined {
    const { session } = this;
    if (session?.untilWritable !== undefined) return session.untilWritable();
    const { connection } = this;
    return connection && internalsOf(connection).untilWritable();
  }

  /**
   * Waits until `connection` has room, then sends a message. Gives up when the connection ends. Never
   * rejects.
   *
   * @param dropped - Called when a hub drops the message later. Default: sends it again.
   * @returns The error, if the connection has room but refuses this message.
   */
  async sendSurely(
    connection: ConnLike | undefined,
    text: string,
    dropped: Dropped = () => void this.sendSurely(connection, text),
  ): Promise<unknown> {
    while (this.isOpen(connection)) {
      const writable = this.untilWritable();
      if (writable !== undefined) {
        await writable.catch(() => {});
        continue;
      }
      try {
        const sent = this.send(text, dropped);
        if (sent !== undefined) await sent;
        return undefined;
      } catch (error) {
        // If another message has taken the room, tries again.
        if (this.isOpen(connection) && this.untilWritable() === undefined) return error;
      }
    }
    return undefined;
  }

  /** Reports that the connection has refused the answer to the request `id`. Sends an error instead. */
  refused(connection: ConnLike | undefined, id: Id, refusal: unknown): Promise<unknown> {
    this.reportRarely('unsent', () => refusal);
    return this.sendSurely(connection, errorText(id, ErrorCode.InternalError, 'Internal error'));
  }

  /** Reports an error that no caller gets. */
  report(error: unknown, where: string): void {
    const { connection } = this;
    const internals = connection && internalsOf(connection);
    if (internals?.report !== undefined) internals.report(error, where);
    else reportError(undefined, this.platform, error, { where });
  }

  /** As {@link report}, at most once a second for each kind. */
  reportRarely(kind: string, error: () => unknown, where = 'rpc'): void {
    const now = this.platform.now();
    this.#reportedAt ??= new Map();
    const reportedAt = this.#reportedAt;
    const key = reportedAt.has(kind) || reportedAt.size < MAX_KINDS ? kind : 'others';
    if (now - (reportedAt.get(key) ?? -Infinity) < REPORT_MS) return;
    reportedAt.set(key, now);
    this.report(error(), where);
  }

  /** Closes the connection, because too many of its messages wait. The client may dial again. */
  overloaded(): void {
    const { connection } = this;
    const why = 'too many messages wait';
    // A page cannot send close code 1013.
    connection
      ?.close(CloseCode.TryAgainLater, why, { discard: true })
      .catch(() => connection.close(PAGE_OVERLOAD, why, { discard: true }))
      .catch(() => {});
  }
}

function sendIn(session: SessionLike, text: string, dropped: Dropped): Promise<void> | undefined {
  const isAccepted =
    session.sendWatched?.(text, () => dropped(droppedByHub(), text)) ?? session.send(text);
  if (isAccepted) return undefined;
  const { conn } = session;
  if (conn.state === 'open') return rejected(droppedByHub());
  return internalsOf(conn).closed.then((info) => rejected(closeErrorOf(info, HAS_ENDED)));
}

function droppedByHub(): BackpressureError {
  return new BackpressureError('the hub has dropped the message: the client reads too slowly');
}

/** The note of {@link closeErrorOf} for a call that begins after the end of the connection. */
export const HAS_ENDED = 'the connection has ended';

/** The error of unanswered calls whose connection has ended. */
export function closeErrorOf(
  { code, reason }: CloseInfo,
  note = 'the connection ended before the answer',
): CloseError {
  return new CloseError(code, reason, note);
}

/** The part of a session of `@ws/hub` that a peer uses. */
export interface SessionLike {
  readonly conn: ConnLike;
  readonly data: unknown;
  send(data: string): boolean;
  /** Only in `@ws/hub`. Calls `dropped` when the message waits and is dropped for a later one. */
  sendWatched?(text: string, dropped: () => void): boolean;
  /** Only in `@ws/hub`. Resolves when no other message waits and the connection accepts more. */
  untilWritable?(): Promise<void> | undefined;
  /** Only in `@ws/hub`. Makes `hub.close` wait for `work`, the promise of a running handler. */
  counts?(work: Promise<unknown>): void;
}

/** The part of a `ReconnectingConn` that a peer uses. */
export interface ReconnectingConnLike {
  readonly conn: ConnLike | undefined;
  /** The connection of the message that `receive` is handling. */
  readonly reading?: ConnLike | undefined;
  readonly closed: Promise<{ readonly error?: Error | undefined }>;
  receive(handler: MessageHandler): Promise<void>;
  reconnect(): Promise<unknown>;
  /**
   * In a page: sends `question` to find out whether a connection is dead.
   *
   * @param waits - Returns whether a question on this connection may have to wait for other answers.
   * @returns A function that asks on a connection now; undefined if the application asks its own way.
   */
  '@ws/alive'?(
    question: string,
    waits: (conn: ConnLike) => boolean,
  ): ((conn: ConnLike) => void) | undefined;
  on(event: 'open' | 'close', listener: (argument: never) => unknown): () => void;
  /** @internal Called with each connection before its first message. */
  greet?: ((conn: ConnLike) => void) | undefined;
  /** @internal Ends this object with an error. */
  fail?(error: Error): void;
}

/** Whether `target` is a ReconnectingConn, of any package. */
export function isReconnecting(target: unknown): target is ReconnectingConnLike {
  const live = Object(target) as Partial<ReconnectingConnLike>;
  return ['receive', 'reconnect', 'on'].every(
    (name) => typeof live[name as keyof typeof live] === 'function',
  );
}

/** Whether `target` is a session of a hub: it has `conn` and `send`. */
export function isSession(target: unknown): target is SessionLike {
  const { conn, send } = Object(target) as Partial<SessionLike>;
  return (
    typeof send === 'function' && typeof (conn as Partial<Conn> | undefined)?.receive === 'function'
  );
}
