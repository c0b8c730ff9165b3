import {
  BackpressureError,
  CloseError,
  type CloseInfo,
  type Conn,
  type ConnLike,
  type MessageHandler,
  type Platform,
  portablePlatform,
} from '@ws/conn';
import {
  type ConnInternals,
  internalsOf,
  RESOLVED,
  rejected,
  reportError,
} from '@ws/conn/internal';

/** What a {@link Link} sends by: a connection, the session of a hub, or a series of connections. */
export interface Carrier {
  /** The connection that messages leave by now; undefined while there is none. */
  readonly connection: ConnLike | undefined;
  /** The connection whose message is handled now. */
  readonly source: ConnLike | undefined;
  readonly platform: Platform;
  /** Whether messages that have arrived are dropped: after a close that revokes. */
  readonly dropsInput: boolean;
  /** @throws (rejects) when the message does not leave. */
  send(text: string): Promise<void>;
  /** Resolves when the peer has read enough for the next answer; undefined at once. */
  untilWritable(): Promise<void> | undefined;
  /** Reports an error that no caller gets. */
  report(error: unknown, where: string): void;
  /** A handler runs. `work` never rejects. */
  runs?(work: Promise<unknown>): void;
}

/** The part of a session of `@ws/hub` that a peer uses. */
export interface SessionLike {
  readonly conn: ConnLike;
  readonly data: unknown;
  send(data: string): boolean;
  /** A session of `@ws/hub`: `hub.close` waits for a handler that runs. */
  counts?(work: Promise<unknown>): void;
}

/** The part of a `ReconnectingConn` that a peer uses. */
export interface ReconnectingConnLike {
  readonly conn: ConnLike | undefined;
  /** The connection whose message `receive` handles now. */
  readonly reading?: ConnLike | undefined;
  readonly closed: Promise<{ readonly error?: Error | undefined }>;
  receive(handler: MessageHandler): Promise<void>;
  reconnect(): Promise<unknown>;
  on(event: 'open', listener: (conn: never) => unknown): () => void;
}

export class ConnCarrier implements Carrier {
  readonly conn: ConnLike;
  readonly #internals: ConnInternals;

  constructor(conn: ConnLike) {
    this.conn = conn;
    this.#internals = internalsOf(conn);
  }

  get connection(): ConnLike {
    return this.conn;
  }

  get source(): ConnLike {
    return this.conn;
  }

  get platform(): Platform {
    return this.#internals.platform ?? portablePlatform;
  }

  get dropsInput(): boolean {
    return this.#internals.dropsInput === true;
  }

  send(text: string): Promise<void> {
    return this.conn.send(text);
  }

  untilWritable(): Promise<void> | undefined {
    return this.#internals.untilWritable();
  }

  report(error: unknown, where: string): void {
    if (this.#internals.report !== undefined) this.#internals.report(error, where);
    else reportError(undefined, this.platform, error, { where });
  }
}

/** Sends by the session, so in order with the hub's publications. */
export class SessionCarrier extends ConnCarrier {
  readonly #session: SessionLike;

  constructor(session: SessionLike) {
    super(session.conn);
    this.#session = session;
  }

  override send(text: string): Promise<void> {
    if (this.#session.send(text)) return RESOLVED;
    if (this.conn.state === 'open') {
      return rejected(
        new BackpressureError('the hub has dropped the message: the client reads too slowly'),
      );
    }
    return closedWith(this.conn);
  }

  runs(work: Promise<unknown>): void {
    this.#session.counts?.(work);
  }
}

async function closedWith(conn: ConnLike): Promise<never> {
  throw closeErrorOf(await internalsOf(conn).closed);
}

/** The error of the calls that a connection leaves without an answer. */
export function closeErrorOf({ code, reason }: CloseInfo): CloseError {
  return new CloseError(code, reason, 'the connection ended before the answer');
}

/** Sends by the open connection of a series. */
export class ReconnectingCarrier implements Carrier {
  readonly #live: ReconnectingConnLike;
  /** The last connection that opened. */
  #last: ConnCarrier | undefined;

  constructor(live: ReconnectingConnLike) {
    this.#live = live;
  }

  get connection(): ConnLike | undefined {
    return this.#live.conn;
  }

  get source(): ConnLike | undefined {
    return this.#live.reading ?? this.#live.conn;
  }

  get platform(): Platform {
    return this.#last?.platform ?? portablePlatform;
  }

  get dropsInput(): boolean {
    return this.#last?.dropsInput === true;
  }

  send(text: string): Promise<void> {
    return this.#open().send(text);
  }

  untilWritable(): Promise<void> | undefined {
    return this.#open().untilWritable();
  }

  report(error: unknown, where: string): void {
    if (this.#last !== undefined) this.#last.report(error, where);
    else reportError(undefined, portablePlatform, error, { where });
  }

  #open(): ConnCarrier {
    const conn = this.#live.conn!;
    if (this.#last?.conn !== conn) this.#last = new ConnCarrier(conn);
    return this.#last;
  }
}

/** Whether `target` is a ReconnectingConn, of any package. */
export function isReconnecting(target: unknown): target is ReconnectingConnLike {
  const live = Object(target) as Partial<ReconnectingConnLike>;
  return ['receive', 'reconnect', 'on'].every(
    (name) => typeof live[name as keyof typeof live] === 'function',
  );
}

/** Whether `target` is a session of a hub: it has a connection and sends by itself. */
export function isSession(target: unknown): target is SessionLike {
  const { conn, send } = Object(target) as Partial<SessionLike>;
  return (
    typeof send === 'function' && typeof (conn as Partial<Conn> | undefined)?.receive === 'function'
  );
}
