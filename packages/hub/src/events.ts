import type { BorrowedMessage, CloseInfo, PreparedMessage } from '@ws/conn';
import { asyncContexts, kind } from '@ws/conn/internal';
import { checkOneOf } from './arguments.ts';
import type { Versions } from './backplane/local-hub.ts';
import type { Overflow } from './options.ts';
import type { Position } from './position.ts';
import type { JSONValue, PresenceChange } from './presence/room-presence.ts';
import type { Session } from './sessions/session.ts';

/** The query of a request: a URLSearchParams. */
export interface ConnectQuery extends Iterable<[name: string, value: string]> {
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string): boolean;
}

/**
 * The facts of a connection beside its request. `serve`, `Upgrader` and routes pass all of them, as a
 * third argument of the handler.
 */
export interface ConnectContext {
  /** The value that the server's `authenticate` has admitted. */
  readonly auth?: unknown;
  /** The parameters of the route, such as `id` in `/rooms/:id`. */
  readonly params?: Readonly<Record<string, string>>;
  /** The decoded path of the request. */
  readonly path?: string;
  /** The decoded query of the request. */
  readonly query?: ConnectQuery;
  /** The pattern of the route, `/rooms/:id` for example. */
  readonly route?: string | undefined;
  /** The address of the client. */
  readonly address?: string | undefined;
}

/** The listeners of a {@link Hub}. Each may be async. */
export interface HubEvents<Data = unknown, Info = JSONValue> {
  /**
   * A session was added. Its first message waits for the promises of the listeners.
   *
   * @param ctx - The third argument of `hub.handler`, from the server; undefined after `hub.add`.
   */
  connect(session: Session<Data>, ctx: ConnectContext | undefined): unknown;
  /** A session has ended, after it has left its rooms. Called exactly once for each session. */
  disconnect(session: Session<Data>, info: CloseInfo): unknown;
  /**
   * A message of the peer has arrived. `message` is borrowed: valid until the listener returns, or until
   * the listener's promise settles. The session's next message waits for the promise. `message.copy()`
   * returns an owned copy.
   */
  message(session: Session<Data>, message: BorrowedMessage): unknown;
  /** The connection has accepted a message. */
  sent(session: Session<Data>, message: PreparedMessage): unknown;
  /**
   * A pong has arrived, perhaps without a ping. `rtt`: round-trip time in ms of the last answered ping;
   * NaN before the first.
   */
  pong(session: Session<Data>, rtt: number): unknown;
  /**
   * A close frame has arrived. `disconnect` follows. `code` is 1005 for a frame without a code. Not
   * called for a failed connection: only its `disconnect` is called, with the error.
   */
  close(session: Session<Data>, code: number, reason: string): unknown;
  /**
   * A listener or the backplane failed, or publications or joins were rejected. Rejections are reported
   * together, at most once a second. `session` is the session of the failed listener, or of a join that
   * is reported alone. Without a listener of `error`, the hub prints a warning.
   */
  error(session: Session<Data> | undefined, error: unknown): unknown;
  /**
   * Messages were dropped because a session reads too slowly. Called at most once a second for each
   * session; `dropped` counts the messages since the last call. `policy` is the option `overflow`, or
   * `refused`: the connection refused messages after they were counted as delivered.
   */
  overflow(
    session: Session<Data>,
    info: { readonly dropped: number; readonly policy: Overflow | 'refused' },
  ): unknown;
  /**
   * Messages of other nodes may be missing in `room`, or among the broadcasts when `room` is
   * undefined. `from`: position of the last message before the gap, if it is known.
   */
  gap(room: string | undefined, from?: Position): unknown;
  /**
   * A session has become a member of a room. Exactly one call of `left` follows each call. The option
   * `mayJoin` decides who may join; the result of a listener is ignored.
   */
  entered(session: Session<Data>, room: string): unknown;
  /** A session has left a room, or accepts no more messages. */
  left(session: Session<Data>, room: string): unknown;
  /**
   * `Room.presence` of a room has changed. Called at most once a turn for each room. A member that comes
   * and leaves in the same turn is in no map. When the last member of this node leaves the room, `left`
   * has all members of all nodes.
   */
  presence(room: string, change: PresenceChange<Info>): unknown;
}

type Lists<Data> = { [E in keyof HubEvents<Data>]: readonly HubEvents<Data>[E][] };

const EVENTS: readonly (keyof HubEvents)[] = [
  'connect',
  'disconnect',
  'message',
  'sent',
  'pong',
  'close',
  'error',
  'overflow',
  'gap',
  'entered',
  'left',
  'presence',
];

/** A listener from a contract of `@ws/rpc` has the events for its clients under this key. */
const CONTRACT_EVENTS: unique symbol = /* @__PURE__ */ Symbol.for('@ws/rpc: events');

/** Such a listener has the versions that the contract has seen under this key. */
const SEEN_VERSION: unique symbol = /* @__PURE__ */ Symbol.for('@ws/rpc: version');

/** The listeners of a hub, by event. */
export class Listeners<Data> implements Versions {
  /** By name: the events for clients of all contracts that have a listener in this hub. */
  readonly events: Record<string, unknown> = {};
  readonly #seen: Versions[] = [];
  readonly #lists = Object.fromEntries(
    EVENTS.map((event) => [event, []]),
  ) as unknown as Lists<Data>;

  get version(): number | undefined {
    const all = this.#seen.map(({ version }) => version ?? 0);
    return Math.max(0, ...all) || undefined;
  }

  saw(version: number): void {
    for (const seen of this.#seen) seen.saw(version);
  }

  /** Whether `sent` has listeners. Read at every delivery. */
  get sent(): boolean {
    return this.#lists.sent.length > 0;
  }

  /**
   * @returns A function that removes the listener again.
   * @throws TypeError for an unknown event, or a listener that is not a function.
   */
  add<E extends keyof HubEvents<Data>>(event: E, listener: HubEvents<Data>[E]): () => void {
    checkOneOf('hub.on', event, EVENTS);
    if (typeof listener !== 'function') {
      throw new TypeError(`hub.on: expected a function, got ${kind(listener)}`);
    }
    const events: unknown = Reflect.get(listener, CONTRACT_EVENTS);
    if (events === true) {
      throw new TypeError('hub.on: listener is not called; write listener(handlers)');
    }
    // Replaces the list, because a listener may remove itself while the hub iterates over it.
    const lists = this.#lists as Record<keyof HubEvents<Data>, readonly unknown[]>;
    Object.assign(this.events, events);
    const seen: unknown = Reflect.get(listener, SEEN_VERSION);
    if (seen !== undefined) this.#seen.push(seen as Versions);
    const bound = asyncContexts.bind(listener);
    lists[event] = [...lists[event], bound];
    let added = true;
    return () => {
      if (!added) return;
      added = false;
      const list = lists[event];
      lists[event] = list.toSpliced(list.indexOf(bound), 1);
    };
  }

  of<E extends keyof HubEvents<Data>>(event: E): readonly HubEvents<Data>[E][] {
    return this.#lists[event];
  }
}
