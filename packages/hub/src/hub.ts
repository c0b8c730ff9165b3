import {
  CloseCode,
  type Conn,
  type ConnLike,
  type MessageData,
  type PreparedMessage,
} from '@ws/conn';
import {
  addHabits,
  checked,
  checkNoMore,
  checkOptionNames,
  type Facts,
  type Habits,
  isConnLike,
  kind,
  rejected,
} from '@ws/conn/internal';
import { checkString, prepare } from './arguments.ts';
import {
  BROADCAST_NAMES,
  chosen,
  type PublishOptions,
  publicationOf,
  sessionsOf,
} from './delivery/publish-options.ts';
import { HubClosedError } from './errors.ts';
import type { ConnectContext, HubEvents } from './events.ts';
import { addAskListener, Everywhere } from './everywhere/everywhere.ts';
import { HUB_FACTS, HUB_HABITS } from './habits.ts';
import { addLoneHub } from './lone-hubs.ts';
import {
  checkCloseOptions,
  type HubCloseOptions,
  type HubCloseResult,
  type HubOptions,
  resolveOptions,
} from './options.ts';
import type { InfoOf, JSONValue } from './presence/room-presence.ts';
import type { Room } from './rooms/room.ts';
import type { Session } from './sessions/session.ts';
import { Sessions } from './sessions/sessions.ts';

/** @internal The sessions of a hub. */
export let internalsOfHub: <Data>(hub: Hub<Data>) => Sessions<Data>;

/** The options of {@link Hub.add}. */
export interface SessionInit<Data = unknown> {
  /** Id of the session, unique in this hub. Default: random. */
  readonly id?: string | undefined;
  /** Becomes `session.data`, which is `conn.data`. */
  readonly data?: Data;
  /** Becomes `session.request`, usually the request of the handshake. */
  readonly request?: unknown;
}

/** The counters of a hub. */
export interface HubStats {
  /** Current sessions of this node. */
  readonly sessions: number;
  /** Current rooms of this node. */
  readonly rooms: number;
  /**
   * Calls of `publish`, `broadcast` and `multiple` on this node. A call with invalid arguments does
   * not count, nor one that fails with an `OverflowError`.
   */
  readonly published: number;
  /** Messages that connections have accepted, counted for each session. */
  readonly delivered: number;
  /** Messages that were dropped for slow sessions, or still waited when a connection ended. */
  readonly dropped: number;
  /**
   * Joins that `mayJoin` or a bound has refused, or that a listener of `entered` has ended. If the
   * session leaves the room or ends before the decision, its join does not count.
   */
  readonly refused: number;
  /** Number of `gap` events. */
  readonly gaps: number;
  /** State of the backplane; `none` without one. */
  readonly backplane: 'up' | 'down' | 'none';
}

/**
 * Sessions and rooms on one node or, with a backplane, on many.
 *
 * @typeParam Data - The type of `session.data`.
 * @typeParam Infos - The results of `presence`, by key of the option `rooms`.
 *
 * @example
 * ```ts
 * import { Hub } from '@ws/hub';
 * import { serve } from '@ws/node-server';
 *
 * const hub = new Hub();
 * hub.on('connect', (session) => session.join('lobby'));
 * hub.on('message', (_, message) => hub.room('lobby').publish(message));
 * const server = await serve({ port: 8080 }, hub.handler);
 * ```
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface below
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the same
export class Hub<Data = unknown, Infos = Record<string, unknown>> implements AsyncDisposable {
  /**
   * The handler for `serve`, `Upgrader` and routes. It adds each connection, and settles when the
   * connection has ended. Listeners of `connect` get its `ctx`, as a handler of `serve` does. The
   * result of the server's `authenticate` becomes `session.data`. Our servers set it as `conn.data`;
   * another server passes it as `ctx.auth`.
   */
  readonly handler: (conn: ConnLike, request?: unknown, ctx?: ConnectContext) => Promise<void>;
  /** Counts, closes and asks on all nodes. */
  readonly everywhere: Everywhere;
  readonly #sessions: Sessions<Data>;
  #closing: Promise<HubCloseResult> | undefined;

  static {
    internalsOfHub = (hub) => hub.#sessions;
  }

  /** @throws TypeError or RangeError that names the option. */
  constructor(options: HubOptions<Data, Infos> = {}) {
    hasHabits ||= addHabits(Hub.prototype, 'hub', HUB_HABITS, HUB_FACTS);
    this.#sessions = checked(() => new Sessions(resolveOptions(options)), Hub);
    if (options.backplane === undefined) addLoneHub();
    this.everywhere = new Everywhere(this.#sessions);
    this.handler = async (conn, request, ctx) => {
      conn.data ??= ctx?.auth;
      await (this.closed
        ? conn.close(CloseCode.GoingAway)
        : this.#add(conn, { request }, ctx).conn.closed);
    };
  }

  /** Id of this node. */
  get id(): string {
    return this.#sessions.settings.id;
  }

  /** The sessions of this node, by id. */
  get sessions(): ReadonlyMap<string, Session<Data>> {
    return this.#sessions.byId;
  }

  /** Whether the hub is closed or closing. */
  get closed(): boolean {
    return this.#sessions.closed;
  }

  /** A snapshot of the counters. */
  get stats(): HubStats {
    const sessions = this.#sessions;
    const isAlone = sessions.settings.backplane === undefined;
    return {
      sessions: sessions.byId.size,
      rooms: sessions.rooms.size,
      published: sessions.publishedCount,
      delivered: sessions.deliveredCount,
      dropped: sessions.droppedCount,
      refused: sessions.refusedCount,
      gaps: sessions.gapCount,
      backplane: isAlone ? 'none' : (sessions.link?.state ?? 'down'),
    };
  }

  /**
   * Creates a session for a connection. The hub reads the connection from now on. A Conn gets
   * publications as frames that all members share, any other ConnLike by its `writeMessage`.
   *
   * @throws {@link HubClosedError}; TypeError for invalid arguments, for a connection that was
   *   added before, and for an id that another session has.
   */
  add(conn: ConnLike<Data>, init: SessionInit<Data> = {}): Session<Data> {
    return checked(() => this.#add(conn, init, undefined), this, 'add');
  }

  #add(
    conn: ConnLike<Data>,
    init: SessionInit<Data>,
    ctx: ConnectContext | undefined,
  ): Session<Data> {
    if (!isConnLike(conn)) throw new TypeError(`hub.add: expected a Conn, got ${kind(conn)}`);
    checkOptionNames('hub.add', init, ['id', 'data', 'request'], 'ignore');
    if (this.closed) throw new HubClosedError('hub.add');
    const { id = crypto.randomUUID() } = init;
    checkString('id', id);
    // Only `conn-calls.ts` calls methods that a ConnLike lacks.
    return this.#sessions.add(conn as Conn<Data>, id, init, ctx);
  }

  /**
   * Adds a listener. Listeners of an event run in the order in which they were added. When a
   * listener throws or rejects, the session closes with 1011 and the event `error` reports the
   * error. The error of a refused publication or join closes no session.
   *
   * @returns A function that removes the listener.
   * @throws TypeError for an unknown event, or a listener that is not a function.
   */
  on<E extends keyof HubEvents>(event: E, listener: HubEvents<Data, InfoOf<Infos>>[E]): () => void;
  on<E extends keyof HubEvents>(
    event: E,
    listener: HubEvents<Data, InfoOf<Infos>>[E],
    ...more: unknown[]
  ): () => void {
    const add = (): (() => void) => {
      checkNoMore('hub.on', more);
      return this.#sessions.listeners.add(event, listener);
    };
    const remove = checked(add, this, 'on');
    if (event === 'pong') {
      for (const session of this.sessions.values()) this.#sessions.watchPongs(session);
    }
    return remove;
  }

  /**
   * Answers the calls `everywhere.ask(name, data)` of all nodes, also of this one.
   *
   * @param listener - Called with a copy of the data; undefined without data. Returns the answer, or a
   *   promise of the answer: JSON of at most 64 KiB; undefined becomes null. When the listener throws
   *   or rejects, the event `error` of this node reports the error. The asking node gets only its class.
   * @returns A function that removes the listener.
   * @throws TypeError for a name that already has a listener, or a listener that is not a function;
   *   TypeError or RangeError for a name that is not a text of 1 to 256 bytes.
   */
  onAsk(name: string, listener: (data: JSONValue) => unknown): () => void {
    return checked(() => addAskListener(this.#sessions, name, listener), this, 'onAsk');
  }

  /**
   * The room of a name. It exists while it has members or history.
   *
   * @throws TypeError or RangeError for an invalid name.
   */
  room(name: string): Room<Data, InfoOf<Infos>> {
    const room = checked(() => this.#sessions.rooms.room(name), this, 'room');
    return room as Room<Data, InfoOf<Infos>>;
  }

  /**
   * Sends a message to all sessions on all nodes, at the end of the turn.
   *
   * @param options - `except`, `filter` and `local` as for {@link Room.publish}.
   * @returns The number of sessions of this node to which the message is sent.
   * @throws {@link HubClosedError}, {@link OverflowError}; TypeError for invalid data or options;
   *   the error of `filter`. Nothing is sent then.
   */
  broadcast(
    data: MessageData | PreparedMessage,
    options: Omit<PublishOptions<Data>, 'key'> = {},
  ): number {
    if (this.#sessions.ended) throw new HubClosedError('hub.broadcast');
    const { everyone } = this.#sessions;
    const { message, except } = checked(
      () => publicationOf('hub.broadcast', data, options, BROADCAST_NAMES, false),
      this,
      'broadcast',
    );
    const only = chosen(everyone.members, options.filter);
    void everyone.publish({ message, key: undefined, except, only });
    if (options.local !== true && options.filter === undefined) {
      this.#sessions.toOtherNodes(message);
    }
    this.#sessions.publishedCount++;
    return count(only ?? everyone.members, except);
  }

  /**
   * Sends a message to these sessions of this node at the end of the turn, in one order with
   * {@link broadcast}. Skips closed sessions. Named after `BroadcastMultiple` of melody.
   *
   * @returns The number of sessions to which the message is sent.
   * @throws {@link HubClosedError}, {@link OverflowError}; TypeError for invalid data, or for a
   *   value that is no session. Nothing is sent then.
   */
  multiple(sessions: Iterable<Session<Data>>, data: MessageData | PreparedMessage): number {
    if (this.#sessions.ended) throw new HubClosedError('hub.multiple');
    const { everyone } = this.#sessions;
    const [only, message] = checked(
      () => [sessionsOf('hub.multiple', sessions), prepare(data, 'hub.multiple')],
      this,
      'multiple',
    );
    for (const session of only) {
      if (session.state === 'closed' || !everyone.members.has(session)) only.delete(session);
    }
    if (only.size > 0) {
      void everyone.publish({ message, key: undefined, except: undefined, only });
    }
    this.#sessions.publishedCount++;
    return only.size;
  }

  /**
   * Refuses new sessions, delivers all published messages, closes all sessions, and closes the
   * backplane. Publications are possible until all sessions have ended and the promises of their
   * listeners have settled: at most until `timeout` ms after the last close frame. A later call returns
   * the promise of the first, and its `timeout` and `over` can only shorten the close.
   *
   * @returns Resolves to three numbers: sessions that ended, sessions that were terminated, and
   *   listeners that still run.
   * @throws (rejects) TypeError or RangeError that names the option. The hub stays open then.
   */
  close(options: HubCloseOptions = {}): Promise<HubCloseResult> {
    try {
      const plan = checked(() => checkCloseOptions(options), this, 'close');
      if (this.#closing === undefined) this.#closing = this.#sessions.close(plan);
      else this.#sessions.hurry(options);
      return this.#closing;
    } catch (error) {
      return rejected(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function count(members: ReadonlySet<object>, except: ReadonlySet<object> | undefined): number {
  let size = members.size;
  for (const member of except ?? []) if (members.has(member)) size--;
  return size;
}

/** Names that a Hub lacks, see {@link Habits}. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: `addHabits` adds them to the prototype
// oxlint-disable-next-line no-unused-vars -- as the class
export interface Hub<Data = unknown, Infos = Record<string, unknown>>
  extends Habits<typeof HUB_HABITS>,
    Facts<typeof HUB_FACTS> {}

/** Whether the prototype has its {@link Habits}. */
let hasHabits = false;
