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

/** The code of a page with a full queue, as for `maxQueuedBytes` of `@ws/browser`. */
const PAGE_OVERLOAD = 3008;
/** A message was accepted by a hub, which bounds what waits. The connection may have no room. */
export const ACCEPTED: Promise<void> = Promise.resolve();

/** Least time between two reports of one kind, in ms. */
const REPORT_MS = 1_000;
/** Kinds beyond this number share one time. The peer chooses the codes of its errors, and so the kinds. */
const MAX_KINDS = 100;

/**
 * Carries the messages of a {@link Link}: a connection, a session of a hub, or a series of
 * connections.
 */
export abstract class Carrier {
  /** The connection by which messages leave; undefined while there is none. */
  abstract readonly connection: ConnLike | undefined;
  /** Whether handlers get the messages of the other end. Without them no answer arrives. */
  isRead = false;
  /** The time of the last report of each kind. */
  #reportedAt: Map<string, number> | undefined;

  /** The connection of the message that is handled now. */
  get source(): ConnLike | undefined {
    return this.connection;
  }

  get platform(): Platform {
    const { connection } = this;
    return (connection && internalsOf(connection).platform) ?? portablePlatform;
  }

  /**
   * Sends by the connection, which must be there. Rejects when the message does not leave.
   *
   * @param _dropped - Called when a hub drops the message after it has accepted it.
   */
  send(text: string, _dropped: (error: BackpressureError) => void): Promise<void> {
    return this.connection!.send(text);
  }

  /**
   * Resolves when the next message may have room on an open connection; undefined when it has room now.
   * May reject.
   */
  untilWritable(connection: ConnLike): Promise<void> | undefined {
    return internalsOf(connection).untilWritable();
  }

  /**
   * Sends a message that must not be lost, when `connection` has room. Sends it again when a hub drops
   * it. Never rejects.
   *
   * @returns The error of a connection that takes messages, but not this one.
   */
  async sendSurely(connection: ConnLike | undefined, text: string): Promise<unknown> {
    while (connection === this.connection && connection?.state === 'open') {
      const writable = this.untilWritable(connection);
      if (writable !== undefined) {
        await writable.catch(() => {});
        continue;
      }
      try {
        const sent = this.send(text, () => void this.sendSurely(connection, text));
        if (sent !== RESOLVED) await sent;
        return undefined;
      } catch (error) {
        // Another message may have taken the room.
        if (connection.state === 'open' && this.untilWritable(connection) === undefined)
          return error;
      }
    }
    return undefined;
  }

  /** Reports an error that no caller gets. */
  report(error: unknown, where: string): void {
    const { connection } = this;
    const internals = connection && internalsOf(connection);
    if (internals?.report !== undefined) internals.report(error, where);
    else reportError(undefined, this.platform, error, { where });
  }

  /** As {@link report}, once a second for each kind. */
  reportRarely(kind: string, error: () => unknown, where = 'rpc'): void {
    const now = this.platform.now();
    this.#reportedAt ??= new Map();
    const reportedAt = this.#reportedAt;
    const key = reportedAt.has(kind) || reportedAt.size < MAX_KINDS ? kind : 'others';
    if (now - (reportedAt.get(key) ?? -Infinity) < REPORT_MS) return;
    reportedAt.set(key, now);
    this.report(error(), where);
  }

  /** Ends the connection, because too many of its messages wait. A client may dial again. */
  overloaded(): void {
    const { connection } = this;
    const why = 'too many messages wait';
    // A page cannot send 1013.
    connection
      ?.close(CloseCode.TryAgainLater, why, { discard: true })
      .catch(() => connection.close(PAGE_OVERLOAD, why, { discard: true }))
      .catch(() => {});
  }

  /** A handler runs. `work` never rejects. */
  runs?(work: Promise<unknown>): void;
}

export class ConnCarrier extends Carrier {
  readonly connection: ConnLike;

  constructor(conn: ConnLike) {
    super();
    this.connection = conn;
  }
}

/** Sends by the session, so in order with the hub's publications. */
export class SessionCarrier extends ConnCarrier {
  readonly #session: SessionLike;

  constructor(session: SessionLike) {
    super(session.conn);
    this.#session = session;
  }

  override send(text: string, dropped: (error: BackpressureError) => void): Promise<void> {
    const session = this.#session;
    const isAccepted =
      session.sendWatched?.(text, () => dropped(droppedByHub())) ?? session.send(text);
    if (isAccepted) return ACCEPTED;
    if (this.connection.state !== 'open') {
      const { closed } = internalsOf(this.connection);
      return closed.then((info) => rejected(closeErrorOf(info, HAS_ENDED)));
    }
    return rejected(droppedByHub());
  }

  override untilWritable(connection: ConnLike): Promise<void> | undefined {
    const session = this.#session;
    return session.untilWritable ? session.untilWritable() : super.untilWritable(connection);
  }

  override runs(work: Promise<unknown>): void {
    this.#session.counts?.(work);
  }
}

function droppedByHub(): BackpressureError {
  return new BackpressureError('the hub has dropped the message: the client reads too slowly');
}

/** Why a call fails that begins after the end. */
export const HAS_ENDED = 'the connection has ended';

/** The error of the calls that a connection leaves without an answer. */
export function closeErrorOf(
  { code, reason }: CloseInfo,
  note = 'the connection ended before the answer',
): CloseError {
  return new CloseError(code, reason, note);
}

/** Sends by the open connection of a series. */
export class ReconnectingCarrier extends Carrier {
  readonly #live: ReconnectingConnLike;

  constructor(live: ReconnectingConnLike) {
    super();
    this.#live = live;
  }

  get connection(): ConnLike | undefined {
    return this.#live.conn;
  }

  override get source(): ConnLike | undefined {
    return this.#live.reading ?? this.#live.conn;
  }
}

/** The part of a session of `@ws/hub` that a peer uses. */
export interface SessionLike {
  readonly conn: ConnLike;
  readonly data: unknown;
  send(data: string): boolean;
  /** A session of `@ws/hub`: `dropped` is called when a later message takes the place of this one. */
  sendWatched?(text: string, dropped: () => void): boolean;
  /** A session of `@ws/hub`: resolves when no other message waits and the connection takes more. */
  untilWritable?(): Promise<void> | undefined;
  /** A session of `@ws/hub`: `hub.close` waits for a handler that runs. */
  counts?(work: Promise<unknown>): void;
}

/** The part of a `ReconnectingConn` that a peer uses. */
export interface ReconnectingConnLike {
  readonly conn: ConnLike | undefined;
  /** The connection of the message that `receive` handles now. */
  readonly reading?: ConnLike | undefined;
  readonly closed: Promise<{ readonly error?: Error | undefined }>;
  receive(handler: MessageHandler): Promise<void>;
  reconnect(): Promise<unknown>;
  /** Of a page: finds out whether a connection is dead, with this question. */
  '@ws/alive'?(question: string): void;
  on(event: 'open' | 'close', listener: (argument: never) => unknown): () => void;
}

/** Whether `target` is a ReconnectingConn, of any package. */
export function isReconnecting(target: unknown): target is ReconnectingConnLike {
  const live = Object(target) as Partial<ReconnectingConnLike>;
  return ['receive', 'reconnect', 'on'].every(
    (name) => typeof live[name as keyof typeof live] === 'function',
  );
}

/** Whether `target` is a session of a hub. It has a connection and sends by itself. */
export function isSession(target: unknown): target is SessionLike {
  const { conn, send } = Object(target) as Partial<SessionLike>;
  return (
    typeof send === 'function' && typeof (conn as Partial<Conn> | undefined)?.receive === 'function'
  );
}
