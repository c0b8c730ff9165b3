import {
  BackpressureError,
  type BorrowedMessage,
  CloseCode,
  type CloseInfo,
  type Conn,
  type ConnLike,
  type Platform,
  type PreparedMessage,
  portablePlatform,
  ReadPendingError,
  TimeoutError,
  WebSocketError,
} from '@ws/conn';
import { internalsOf, isError, isThenable, onRejection, reportError } from '@ws/conn/internal';
import type { Backplane } from '../backplane/backplane.ts';
import type { BackplaneLink } from '../backplane/backplane-link.ts';
import type { Arrival } from '../backplane/envelope.ts';
import { loadedLink } from '../backplane/loaded-link.ts';
import type { LocalHub } from '../backplane/local-hub.ts';
import type { Except } from '../backplane/origins.ts';
import type { CloseTarget } from '../backplane/words.ts';
import { Audience } from '../delivery/audience.ts';
import { FanOut } from '../delivery/fan-out.ts';
import {
  BackplaneError,
  HubClosedError,
  OverflowError,
  RoomRefusedError,
  SessionClosedError,
} from '../errors.ts';
import { type ConnectContext, type HubEvents, Listeners } from '../events.ts';
import type { AskListener } from '../everywhere/everywhere.ts';
import {
  type ClosePlan,
  type HubCloseOptions,
  type HubCloseResult,
  type HubSettings,
  type Overflow,
} from '../options.ts';
import type { Position } from '../position.ts';
import { Presence } from '../presence/presence.ts';
import type { PresenceChange } from '../presence/room-presence.ts';
import { Reports } from '../reports.ts';
import { Rooms } from '../rooms/rooms.ts';
import { Closing } from './closing.ts';
import { limitRate, platformOf, watchPongs } from './conn-calls.ts';
import { RunningListeners } from './running-listeners.ts';
import { Session } from './session.ts';

/** The backplanes of all hubs. Two hubs must not share one. */
const usedBackplanes = /* @__PURE__ */ new WeakSet<Backplane>();

/** The sessions of one hub, with its listeners and counters. */
export class Sessions<Data> implements LocalHub {
  readonly settings: HubSettings<Data>;
  readonly byId: Map<string, Session<Data>> = new Map();
  readonly fanOut: FanOut = new FanOut(this);
  readonly everyone: Audience<Data> = new Audience(this.fanOut);
  readonly presence: Presence = new Presence(this);
  /** By the name of the question. */
  readonly askListeners: Map<string, AskListener> = new Map();
  readonly rooms: Rooms<Data>;
  /** Connects the hub to its backplane. Undefined without one, and before the code is loaded. */
  link: BackplaneLink | undefined;
  /** Resolves to {@link link} when its code is loaded. Undefined if the code was loaded before. */
  readonly #linkLoaded: Promise<BackplaneLink> | undefined;
  readonly listeners: Listeners<Data> = new Listeners();
  readonly versions: Listeners<Data> = this.listeners;
  /** Of the first connection after the hub was empty. The hub uses its clock and timers. */
  platform: Platform = portablePlatform;
  /** Whether the hub is closed or closing. It adds no session then. */
  closed = false;
  /** Whether publications are refused: `close` has waited for all sessions. */
  ended = false;
  publishedCount = 0;
  deliveredCount = 0;
  droppedCount = 0;
  gapCount = 0;
  /** See `HubStats.refused`. */
  refusedCount = 0;
  readonly #running = new RunningListeners();
  /** Undefined before {@link close}. */
  #closing: Closing<Data> | undefined;
  /** Number of sessions that {@link close} has terminated after their timeout. */
  #terminatedCount = 0;
  /** The sessions that {@link terminateAfter} has ended. Their `closed` has no TimeoutError. */
  readonly #terminated = new Set<Session<Data>>();
  readonly #byConn = new WeakMap<Conn<Data>, Session<Data>>();
  readonly #onWritesEnded = (conn: unknown): void =>
    this.#byConn.get(conn as Conn<Data>)?.writesEnded();
  /** Observes the `receive` of all connections, because closures for each of them would cost more. */
  readonly #receiveObserver = {
    fulfilled: () => {},
    rejected: (conn: Conn, error: unknown) => {
      const session = this.#byConn.get(conn as Conn<Data>);
      if (error instanceof ReadPendingError) this.listenerFailed(session, error);
      // Otherwise the connection has ended, or has begun to end.
      else session?.writesEnded();
    },
  };
  readonly #drops: Reports<Session<Data>, Overflow | 'refused'> = new Reports(
    (session, dropped, policy) => this.emit('overflow', session, session, { dropped, policy }),
  );
  /** Errors, by their text. One by one, a listener of `error` that publishes could loop. */
  readonly #failures: Reports<string, Failure<Data>> = new Reports(
    (what, count, { session, cause }) => {
      if (count === 1) return this.failed(session, cause);
      this.failed(undefined, summary(`${count} ${what}`, cause));
    },
  );
  /** The errors of publications and joins that were reported, so that each is reported once. */
  readonly #reported = new WeakSet<object>();

  constructor(settings: HubSettings<Data>) {
    this.settings = settings;
    this.rooms = new Rooms(this);
    const { backplane } = settings;
    if (backplane === undefined) return;
    if (usedBackplanes.has(backplane)) {
      throw new TypeError('backplane: another hub has it; create one for each hub');
    }
    usedBackplanes.add(backplane);
    if (loadedLink.Link !== undefined) this.#connect(loadedLink.Link, backplane);
    else this.#linkLoaded = this.#load(backplane);
    onRejection(this.#linkLoaded, (error) => this.failed(undefined, error));
  }

  async #load(backplane: Backplane): Promise<BackplaneLink> {
    const { BackplaneLink } = await import('../backplane/backplane-link.ts');
    return this.#connect(BackplaneLink, backplane);
  }

  #connect(Link: typeof BackplaneLink, backplane: Backplane): BackplaneLink {
    this.link = new Link(backplane, this.settings.id, this);
    this.rooms.addChannels(this.link);
    return this.link;
  }

  /** Calls `use` with the link: at once, or when its code is loaded, in the order of the calls. */
  withLink<T>(use: (link: BackplaneLink) => Promise<T>): Promise<T> | undefined {
    return this.link === undefined ? this.#linkLoaded?.then(use) : use(this.link);
  }

  /** Adds a session, and starts to read its connection. */
  add(
    conn: Conn<Data>,
    id: string,
    { data, request }: { readonly data?: Data; readonly request?: unknown },
    ctx: ConnectContext | undefined,
  ): Session<Data> {
    if (this.#byConn.has(conn))
      throw new TypeError('hub.add: the connection already has a session');
    if (this.byId.has(id)) {
      throw new TypeError(`hub.add: another session has the id ${JSON.stringify(id)}`);
    }
    if (data !== undefined) conn.data = data;
    if (this.byId.size === 0) this.platform = platformOf(conn);
    if (this.settings.rate !== undefined) limitRate(conn, this.settings.rate);
    const session = new Session(this, conn, id, request);
    this.#byConn.set(conn, session);
    this.byId.set(id, session);
    this.everyone.join(session);
    this.watchPongs(session);
    const connected = this.emit('connect', session, session, ctx) as Promise<unknown> | undefined;
    const receive = (message: BorrowedMessage): Promise<void> | undefined =>
      this.emit('message', session, session, message) as Promise<void> | undefined;
    const reading = conn.receive(
      connected === undefined ? receive : receiveAfter(connected, session, receive),
    );
    const internals = internalsOf(conn as ConnLike);
    if (internals.observeReceive?.(reading, this.#receiveObserver) !== true) {
      onRejection(reading, (error) => this.#receiveObserver.rejected(conn, error));
    }
    internals.observeWrites?.(this.#onWritesEnded);
    void conn.closed.then((info) => this.#remove(session, info));
    return session;
  }

  /** Emits `pong` for a session, if the event has a listener. */
  watchPongs(session: Session<Data>): void {
    if (this.listeners.of('pong').length === 0) return;
    watchPongs(session.conn, () => {
      this.emit('pong', session, session, session.conn.stats.rtt);
    });
  }

  /**
   * Delivers all publications, then closes all sessions. Open sessions and their listeners may publish
   * until the last session has ended.
   */
  async close(plan: ClosePlan): Promise<HubCloseResult> {
    this.closed = true;
    const closing = new Closing(this, this.#running, plan);
    this.#closing = closing;
    closing.tellWhileItWaits();
    // The constructor reports a failure to load the code.
    await this.#linkLoaded?.catch(() => {});
    const size = await closing.endSessions();
    closing.stopTelling();
    this.ended = true;
    await this.#stopLink();
    this.#failures.flushAll();
    const terminated = this.#terminatedCount;
    return { closed: size - terminated, terminated, handlersPending: this.#running.count };
  }

  /** Shortens a {@link close} that runs, to bounds that count from now. */
  hurry(bounds: Pick<HubCloseOptions, 'timeout' | 'over'>): void {
    this.#closing!.hurry(bounds);
  }

  async #stopLink(): Promise<void> {
    try {
      await this.link?.stop();
    } catch (error) {
      this.failed(undefined, new BackplaneError('the backplane failed to close', { cause: error }));
    }
  }

  terminateAfter(session: Session<Data>, ms: number): void {
    const { conn } = session;
    const cancel = this.platform.setTimer(ms, () => {
      this.#terminated.add(session);
      conn.terminate();
    });
    void conn.closed.then(cancel);
  }

  /** Called when a session accepts no more messages. It then leaves its rooms. */
  stopped(session: Session<Data>): void {
    this.everyone.members.delete(session);
    this.rooms.leaveAll(session);
  }

  /** The connection of a session has ended. */
  #remove(session: Session<Data>, info: CloseInfo): void {
    this.droppedCount += session.dropWaiting();
    this.byId.delete(session.id);
    this.stopped(session);
    this.#drops.flush(session);
    const { code, reason, error } = info;
    const isLate = this.#terminated.delete(session) || error instanceof TimeoutError;
    if (this.closed && isLate) this.#terminatedCount++;
    if (code !== CloseCode.AbnormalClosure && error === undefined) {
      this.emit('close', session, session, code, reason);
    }
    this.emit('disconnect', session, session, info);
  }

  // Listeners

  /**
   * Calls the listeners of an event. If one of them throws or rejects, `session` closes.
   *
   * @returns A promise that resolves when all async listeners are done; undefined without any.
   */
  emit<E extends keyof HubEvents<Data>>(
    event: E,
    session: Session<Data> | undefined,
    ...args: Parameters<HubEvents<Data>[E]>
  ): unknown {
    let pending: unknown[] | undefined;
    // Computed first, because a listener may close the hub.
    const early = this.closed ? undefined : event;
    for (const listener of this.listeners.of(event)) {
      const wasClosed = this.closed;
      try {
        const result: unknown = (listener as (...args: unknown[]) => unknown)(...args);
        if (!isThenable(result)) continue;
        if (!wasClosed && this.closed) this.#closing!.tellAtOnce(result);
        pending ??= [];
        pending.push(result.then(undefined, (error) => this.listenerFailed(session, error)));
      } catch (error) {
        this.listenerFailed(session, error);
      }
    }
    if (pending === undefined) return undefined;
    return this.#running.add(Promise.all(pending), early);
  }

  /** Makes {@link close} wait for `work`, as for a listener. `work` never rejects. */
  counts(work: Promise<unknown>): Promise<unknown> {
    return this.#running.add(work, this.closed ? undefined : 'request');
  }

  /** A listener threw or rejected. */
  listenerFailed(session: Session<Data> | undefined, error: unknown): void {
    // `instanceof` throws for some objects. They are no errors.
    const own = isError(error) ? error : undefined;
    // The session or the hub was closed while the listener ran. That is not a fault of the listener.
    const isEnd = own instanceof SessionClosedError;
    if ((isEnd && session?.state === 'closed') || (own instanceof HubClosedError && this.ended)) {
      return;
    }
    // A refused publication or join is no fault of this session.
    const isRefusal = own instanceof BackplaneError || own instanceof OverflowError;
    if (isRefusal) return this.refused(own);
    if (own instanceof RoomRefusedError) return this.joinFailed(session, own);
    if (!this.#reported.has(Object(error))) this.failed(session, error);
    const isFull = own instanceof BackpressureError;
    const code = isFull ? CloseCode.TryAgainLater : CloseCode.InternalServerErr;
    // A SessionClosedError here is about another session, so this session stays.
    if (!isEnd) void session?.close(code);
  }

  /** Reports an error. `session` is undefined for an error that belongs to no session. */
  failed(session: Session<Data> | undefined, error: unknown): void {
    const listeners = this.listeners.of('error');
    const report = (unhandled: unknown): void => {
      reportError(undefined, this.platform, unhandled, { where: 'hub', conn: session?.conn });
    };
    if (listeners.length === 0) report(error);
    for (const listener of listeners) {
      try {
        onRejection(listener(session, error), report);
      } catch (listenerError) {
        report(listenerError);
      }
    }
  }

  // Called by sessions, rooms and the link

  /** The connection has accepted a message. */
  delivered(session: Session<Data>, message: PreparedMessage): void {
    this.deliveredCount++;
    if (this.listeners.sent) this.emit('sent', session, session, message);
  }

  overflowed(session: Session<Data>, dropped: number, policy: Overflow | 'refused'): void {
    this.droppedCount += dropped;
    this.#drops.add(session, dropped, policy, this.platform);
  }

  /** Sends a session the messages that were published to it in this turn. */
  flush(session: Session<Data>): void {
    if (this.fanOut.idle) return;
    this.everyone.flush(session);
    this.rooms.flush(session);
  }

  toOtherNodes(message: PreparedMessage): void {
    const sent = this.withLink((link) => link.publishToOthers(undefined, message));
    onRejection(sent, (error) => this.refused(error));
  }

  /**
   * Reports the error of a publication whose promise the application may ignore.
   *
   * @param what - The text after the number of such errors.
   */
  refused(error: unknown, what = 'publications were refused'): void {
    const key = Object(error);
    const isClosed = isError(error) && error instanceof HubClosedError;
    if (isClosed || this.#reported.has(key)) return;
    this.#reported.add(key);
    this.reportTogether(what, error);
  }

  /**
   * Reports the error of a join whose promise the application may ignore.
   *
   * @param cause - The error to report. Default: `error`, with which the join has rejected.
   */
  joinFailed(session: Session<Data> | undefined, error: unknown, cause: unknown = error): void {
    const own = isError(error) ? error : undefined;
    if (own instanceof SessionClosedError || this.#reported.has(Object(error))) return;
    this.#reported.add(Object(error));
    if (own instanceof RoomRefusedError) this.refusedCount++;
    this.#failures.add('joins were refused', 1, { session, cause }, this.platform);
  }

  /**
   * Reports an error that belongs to no session, together with others of its kind.
   *
   * @param what - The kind, as the text after a number of errors: `calls of form failed`.
   */
  reportTogether(what: string, cause: unknown): void {
    this.#failures.add(what, 1, { session: undefined, cause }, this.platform);
  }

  /**
   * Delivers a message of another node, or of this node with `through`, to the members. Resolves
   * when each member has the message, or has it waiting.
   */
  arrived(
    room: string | undefined,
    message: PreparedMessage,
    key: string | undefined,
    except: Except,
    arrival: Arrival,
  ): Promise<void> {
    if (room !== undefined) return this.rooms.arrived(room, message, key, except, arrival);
    const publication = { message, key, except };
    return this.everyone.arrive(publication, () => this.missed(undefined, undefined));
  }

  membersOf(room: string): ReadonlySet<Session<Data>> {
    return this.rooms.membersOf(room);
  }

  targets({ room, session }: CloseTarget): Iterable<Session<Data>> {
    if (room !== undefined) return this.rooms.admissible(room);
    const one = this.byId.get(session!);
    return one === undefined ? [] : [one];
  }

  presenceChanged(room: string, change: PresenceChange): void {
    this.emit('presence', undefined, room, change);
  }

  /** Messages of a room, or of broadcasts, may be missing after `from`. */
  missed(room: string | undefined, from: Position | undefined): void {
    if (room !== undefined) this.rooms.states.clearUnsure(room);
    this.gapCount++;
    if (from === undefined) this.emit('gap', undefined, room);
    else this.emit('gap', undefined, room, from);
  }
}

/**
 * Returns a handler whose first message waits for the listeners of `connect`. Later messages wait
 * only for the listeners of `message`.
 */
function receiveAfter<Data>(
  connected: Promise<unknown>,
  session: Session<Data>,
  receive: (message: BorrowedMessage) => Promise<void> | undefined,
): (message: BorrowedMessage) => Promise<void> | undefined {
  let isConnecting = true;
  return (message) => {
    if (!isConnecting) return receive(message);
    return connected.then(() => {
      isConnecting = false;
      // The session may have ended meanwhile.
      return session.takesInput ? receive(message) : undefined;
    });
  };
}

/** The error of a call, with the session that the call belongs to. */
interface Failure<Data> {
  readonly session: Session<Data> | undefined;
  readonly cause: unknown;
}

/** The error of several failures, with the code of the last one. */
function summary(text: string, cause: unknown): Error {
  const isOwn = isError(cause) && cause instanceof WebSocketError;
  return isOwn ? new WebSocketError(text, cause.code, { cause }) : new Error(text, { cause });
}
