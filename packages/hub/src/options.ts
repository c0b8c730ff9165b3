import {
  CloseCode,
  type Message,
  type MessageData,
  type PreparedMessage,
  type RateLimit,
} from '@ws/conn';
import {
  asyncContexts,
  bound,
  checkOptionNames,
  checkRate,
  duration,
  kind,
  optionHint,
  whole,
} from '@ws/conn/internal';
import { checkClose, checkFunction, checkOneOf, checkText, checkWellFormed } from './arguments.ts';
import type { Backplane } from './backplane/backplane.ts';
import { MAX_ID_BYTES } from './backplane/envelope.ts';
import type { HistoryBounds } from './history/room-history.ts';
import type { Position } from './position.ts';
import type { Session } from './sessions/session.ts';

/**
 * The option `overflow`: what happens to messages that exceed the bounds of a slow session.
 *
 * - `close`: drops the waiting messages and closes the connection with 1013 (try again later).
 * - `latest`: a message with a `key` replaces the waiting message of the same key, even below the
 *   bounds. Beyond the bounds, the oldest waiting messages are dropped.
 */
export type Overflow = 'close' | 'latest';

/** The bounds of a room's history. */
export interface HistoryOptions {
  /** Largest number of messages. Default: 1,000. */
  readonly size?: number | undefined;
  /**
   * Largest number of payload bytes. A backplane counts about 100 bytes more for each message, and
   * always keeps the last message. With JetStream, the bound holds for the messages of each node
   * separately. Default: 1 MiB.
   */
  readonly bytes?: number | undefined;
  /**
   * Ms that a message is kept. Redis keeps all messages of the room until `ttl` after the last message.
   * JetStream keeps each message for the largest `ttl` of all rooms. Default: 300,000.
   */
  readonly ttl?: number | undefined;
}

/** The options of a room. */
export interface RoomOptions<Data = unknown, Info = unknown> {
  /**
   * Keeps the last messages for `Room.history`; `true` takes all defaults. Not over NATS without
   * JetStream. Default: false.
   */
  readonly history?: boolean | HistoryOptions | undefined;
  /**
   * When the members of the publishing node get a message. `local-first`: at once. `through`: when the
   * message returns from the backplane, so that all nodes have one order. A room with history in a
   * hub with a backplane takes only `through`. Default there: `through`; elsewhere: `local-first`.
   */
  readonly delivery?: 'local-first' | 'through' | undefined;
  /**
   * Returns the text or bytes that clients get for a message, for example with its position. Called on
   * each node once for each message, and again for each message that a resuming session has missed.
   * `position` is undefined for a message that is not kept. The history and the other nodes have the
   * original message. The function is synchronous, and must not call `publish`. If it throws, no
   * member of this node gets the message, and the room has a `gap`. The event `error` reports the
   * error, at most once a second. Needs a hub without a backplane, or `delivery: 'through'`.
   * Default: the message itself.
   */
  readonly form?:
    | ((
        message: Message,
        at: { readonly room: string; readonly position: Position | undefined },
      ) => MessageData)
    | undefined;
  /**
   * Shows each joining session to all nodes with members of the room: see `Room.presence`. Returns
   * what the nodes see, JSON of at most 1 KiB; undefined hides the session. The function is synchronous.
   * If it throws, the join rejects with a `RoomRefusedError`. Default: no session is shown.
   */
  readonly presence?: ((session: Session<Data>) => Info | undefined) | undefined;
  /**
   * Returns the state of a room as text or bytes, at most 1 MiB and within 10 s. Called for sessions
   * that join with options: at a first visit, and where `complete` would be false. They get the state,
   * then each message after `position`. Joins of one room share a call. If the call fails, the join
   * rejects and the session is no member. `position` is undefined while the backplane is away.
   * `signal` aborts when no join waits any more. Store each change before you publish it. Needs
   * `history`, with a `size` above the number of messages published during a call. Default: none.
   */
  readonly state?:
    | ((
        room: string,
        run: { readonly position: Position | undefined; readonly signal: AbortSignal },
      ) => MessageData | PromiseLike<MessageData>)
    | undefined;
  /**
   * @internal Checks a message of this node before its publication. Returns the message to publish,
   * and throws for a message that no session may get.
   */
  readonly accept?: ((message: PreparedMessage, room: string) => PreparedMessage) | undefined;
}

/**
 * The options of a {@link Hub}.
 *
 * @typeParam Infos - The results of `presence`, by key of `rooms`.
 */
export interface HubOptions<Data = unknown, Infos = Record<string, unknown>> {
  /** Id of this node, unique among the nodes of a backplane, at most 200 bytes. Default: random. */
  readonly id?: string | undefined;
  /** Connects the rooms of several nodes. Each hub needs its own. Default: none. */
  readonly backplane?: Backplane | undefined;
  /**
   * The policy for sessions that read too slowly. It does not apply to messages that a history has: the
   * session gets them from the history, once its client has read what waits. Default: `close`.
   */
  readonly overflow?: Overflow | undefined;
  /** Largest number of messages that wait for one session. Default: 256. */
  readonly maxQueuedMessages?: number | undefined;
  /** Largest number of bytes that wait for one session. Default: 1 MiB. */
  readonly maxQueuedBytes?: number | undefined;
  /** Largest number of rooms of one session; `false` for no bound. Default: 1,000. */
  readonly maxRoomsPerSession?: number | false | undefined;
  /** Largest number of rooms of this node; `false` for no bound. Default: 100,000. */
  readonly maxRooms?: number | false | undefined;
  /**
   * Largest number of bytes in all histories of this node. Each message costs its payload and 256
   * bytes. With JetStream: `max_bytes` of a new stream. Default: 256 MiB.
   */
  readonly maxHistoryBytes?: number | undefined;
  /**
   * Largest number of members in one `Room.presence`, of all nodes together. Only
   * `hub.everywhere.count` counts further members. Default: 10,000.
   */
  readonly maxPresence?: number | undefined;
  /**
   * Decides whether a session may join a room: only `true`, or a promise of `true`, admits the session.
   * `session.join` resolves when the session is a member, and rejects otherwise. When the function
   * throws or rejects, the join is refused and the event `error` reports the error. Default: every
   * join is granted.
   */
  readonly mayJoin?:
    | ((session: Session<Data>, room: string) => boolean | PromiseLike<boolean>)
    | undefined;
  /**
   * Bounds the messages of each client, in place of the option `rate` of `serve`. Needs a `Conn`:
   * `hub.add` throws a TypeError for another ConnLike. Default: no bound.
   */
  readonly rate?: RateLimit | undefined;
  /**
   * Options of rooms by name, or by a prefix with one `*` at its end, such as `chat/*`. A room has the
   * options of its name, or else of the longest prefix of it. Default: no history, `local-first`.
   */
  readonly rooms?:
    | (Readonly<Record<string, RoomOptions<Data>>> & {
        readonly [Key in keyof Infos]: RoomOptions<Data, Infos[Key]>;
      })
    | undefined;
}

/** The options of a room with every default filled in. */
export type RoomSettings<Data = unknown> = Pick<
  RoomOptions<Data>,
  'form' | 'presence' | 'state' | 'accept'
> & {
  readonly history: HistoryBounds | undefined;
  readonly through: boolean;
};

type Bound =
  | 'maxQueuedMessages'
  | 'maxQueuedBytes'
  | 'maxRoomsPerSession'
  | 'maxRooms'
  | 'maxHistoryBytes'
  | 'maxPresence';

/** The options of a hub with every default filled in. */
export type HubSettings<Data> = Readonly<Record<Bound, number>> &
  Required<Pick<HubOptions<Data>, 'backplane' | 'mayJoin'>> & {
    readonly id: string;
    readonly overflow: Overflow;
    readonly rate: ReturnType<typeof checkRate> | undefined;
    readonly hasPresence: boolean;
    readonly room: (name: string) => RoomSettings<Data>;
    /** How to give the room `name` a history, for an error message. */
    readonly historyAdvice: (name: string) => string;
  };

const NAMES: readonly (keyof HubOptions)[] = [
  'id',
  'backplane',
  'overflow',
  'maxQueuedMessages',
  'maxQueuedBytes',
  'maxRoomsPerSession',
  'maxRooms',
  'maxHistoryBytes',
  'maxPresence',
  'rooms',
  'mayJoin',
  'rate',
];
const ROOM_NAMES: readonly (keyof RoomOptions)[] = [
  'history',
  'delivery',
  'form',
  'presence',
  'state',
  'accept',
];
const HISTORY_NAMES: readonly (keyof HistoryOptions)[] = ['size', 'bytes', 'ttl'];
const MIB = 1_048_576;
/** Ends the error for an option that needs the position of each message. */
export const NEEDS_POSITIONS: string = "needs a hub without a backplane, or delivery: 'through'";

/** @throws TypeError or RangeError that names the option. */
export function resolveOptions<Data>(options: HubOptions<Data>): HubSettings<Data> {
  checkOptionNames('new Hub', options, NAMES, 'ignore', optionHint);
  const {
    overflow = 'close',
    maxQueuedMessages = 256,
    maxQueuedBytes = MIB,
    maxRoomsPerSession = 1_000,
    maxRooms = 100_000,
    maxHistoryBytes = 256 * MIB,
    maxPresence = 10_000,
    rooms = {},
    mayJoin,
    rate,
  } = options;
  let { id } = options;
  if (id !== undefined) {
    checkText('id', id, 1, MAX_ID_BYTES);
    checkWellFormed('id', id);
  }
  checkFunction('mayJoin', mayJoin);
  checkOverflow(overflow);
  return {
    // Creates the id on first use: a module of a Worker has no random numbers while it loads.
    get id() {
      id ??= crypto.randomUUID();
      return id;
    },
    backplane: checkBackplane(options.backplane),
    overflow,
    maxQueuedMessages: whole('maxQueuedMessages', maxQueuedMessages),
    maxQueuedBytes: whole('maxQueuedBytes', maxQueuedBytes),
    maxRoomsPerSession: bound('maxRoomsPerSession', maxRoomsPerSession),
    maxRooms: bound('maxRooms', maxRooms),
    maxHistoryBytes: whole('maxHistoryBytes', maxHistoryBytes),
    maxPresence: whole('maxPresence', maxPresence),
    mayJoin,
    rate: rate === undefined ? undefined : checkRate(rate),
    room: roomSettings(rooms, whole('maxHistoryBytes', maxHistoryBytes), options.backplane),
    hasPresence: Object.values(rooms).some(({ presence }) => presence !== undefined),
    historyAdvice: (name) => historyAdvice(name, Object.keys(rooms)),
  };
}

/** @throws TypeError for another value. Names the cure for policies of earlier versions. */
function checkOverflow(value: unknown): void {
  const isFunction = typeof value === 'function';
  if (isFunction || value === 'drop-new' || value === 'drop-old') {
    const what = isFunction ? 'a function' : JSON.stringify(value);
    const cure = "write 'close' or 'latest', or skip messages while session.queued is large";
    throw new TypeError(`overflow: ${what} is gone; ${cure}`);
  }
  checkOneOf('overflow', value, ['close', 'latest']);
}

/** @throws TypeError for a value that is neither undefined nor a backplane, such as a client of Redis. */
function checkBackplane(value: Backplane | undefined): Backplane | undefined {
  if (value === undefined || typeof (value as Backplane | null)?.start === 'function') return value;
  throw new TypeError(
    `backplane: expected a Backplane such as redisBackplane(client), got ${kind(value)}`,
  );
}

const PLAIN = { history: undefined, through: false } as const;

function roomSettings<Data>(
  rooms: Readonly<Record<string, RoomOptions<Data>>>,
  maxHistoryBytes: number,
  backplane: Backplane | undefined,
): (name: string) => RoomSettings<Data> {
  if (typeof rooms !== 'object' || rooms === null) {
    throw new TypeError(`rooms: expected an object, got ${kind(rooms)}`);
  }
  const byName = byPattern(
    Object.entries(rooms).map(([pattern, options]) => {
      const owner = `rooms[${JSON.stringify(pattern)}]`;
      return [pattern, settingsOf(owner, options, maxHistoryBytes, backplane)] as const;
    }),
  );
  return (name) => byName(name) ?? PLAIN;
}

/**
 * Finds the value of a name: by its own key, else by the longest prefix, a key with one `*` at its end.
 *
 * @throws TypeError for a key with another `*`.
 */
export function byPattern<T>(
  values: readonly (readonly [pattern: string, value: T])[],
): (name: string) => T | undefined {
  const exact = new Map<string, T>();
  const prefixes: [prefix: string, value: T][] = [];
  for (const [pattern, value] of values) {
    const star = pattern.indexOf('*');
    if (star < 0) exact.set(pattern, value);
    else if (star === pattern.length - 1) prefixes.push([pattern.slice(0, -1), value]);
    else {
      throw new TypeError(
        `rooms: expected a name or a prefix with one * at its end, got ${JSON.stringify(pattern)}`,
      );
    }
  }
  prefixes.sort(([a], [b]) => b.length - a.length);
  return (name) => exact.get(name) ?? prefixes.find(([prefix]) => name.startsWith(prefix))?.[1];
}

/** @param patterns - The keys of the option `rooms`. */
function historyAdvice(name: string, patterns: readonly string[]): string {
  const short = patterns.find((each) => !each.endsWith('*') && name.startsWith(each));
  const wanted = short === undefined ? name : `${short}${name[short.length] === '/' ? '/*' : '*'}`;
  const why =
    short === undefined ? '' : `${JSON.stringify(short)} is the name of one room, not a prefix; `;
  return `${why}write rooms: { ${JSON.stringify(wanted)}: { history: true } }`;
}

function settingsOf<Data>(
  owner: string,
  options: RoomOptions<Data>,
  maxHistoryBytes: number,
  backplane: Backplane | undefined,
): RoomSettings<Data> {
  checkOptionNames(owner, options, ROOM_NAMES, 'ignore');
  const { history = false, form, presence, state } = options;
  const isShared = history !== false && backplane !== undefined;
  if (isShared && backplane.history === undefined) {
    throw new TypeError(
      `${owner}.history: the backplane keeps none; pass jetstream to natsBackplane, or use redisBackplane`,
    );
  }
  const { delivery = isShared ? 'through' : 'local-first' } = options;
  checkOneOf(`${owner}.delivery`, delivery, ['local-first', 'through']);
  if (isShared && delivery === 'local-first') {
    throw new TypeError(
      `${owner}.delivery: a room with history and a backplane has 'through'; leave it out`,
    );
  }
  checkFunction(`${owner}.form`, form);
  if (form !== undefined && backplane !== undefined && delivery !== 'through') {
    throw new TypeError(`${owner}.form: ${NEEDS_POSITIONS}`);
  }
  checkFunction(`${owner}.presence`, presence);
  checkFunction(`${owner}.state`, state);
  if (state !== undefined && history === false) {
    throw new TypeError(
      `${owner}.state: needs history, which has what is published meanwhile; write history: true`,
    );
  }
  return {
    history: boundsOf(`${owner}.history`, history, maxHistoryBytes),
    through: delivery === 'through',
    form: form && asyncContexts.bind(form),
    presence,
    // Runs in the context of the hub's creation: many sessions share a call.
    state: state && asyncContexts.bind(state),
    accept: options.accept,
  };
}

function boundsOf(
  owner: string,
  history: boolean | HistoryOptions,
  maxHistoryBytes: number,
): HistoryBounds | undefined {
  if (history === false) return undefined;
  const options = history === true ? {} : history;
  checkOptionNames(owner, options, HISTORY_NAMES, 'ignore');
  const { size = 1_000, bytes = MIB } = options;
  return {
    size: whole(`${owner}.size`, size),
    bytes: whole(`${owner}.bytes`, bytes),
    ttl: duration(`${owner}.ttl`, options.ttl, 300_000, false),
    total: maxHistoryBytes,
  };
}

/** The options of `Hub.close`. */
export interface HubCloseOptions {
  /** Ms that each session has for its closing handshake, before it is terminated. Default: 30,000. */
  readonly timeout?: number | undefined;
  /** Code of the close frames. Default: 1001 (`CloseCode.GoingAway`). */
  readonly code?: number | undefined;
  /** Reason of the close frames, at most 123 bytes of UTF-8. Default: `''`. */
  readonly reason?: string | undefined;
  /** Ms over which the close frames are spread. Default: 0. */
  readonly over?: number | undefined;
  /** Drops the messages that a peer sends before its close frame. Default: false. */
  readonly discard?: boolean | undefined;
}

/** The result of `Hub.close`. */
export interface HubCloseResult {
  /** Sessions that ended within the timeout. */
  readonly closed: number;
  /** Sessions that were terminated after the timeout. */
  readonly terminated: number;
  /** Listeners whose promise is still pending. */
  readonly handlersPending: number;
}

/** {@link HubCloseOptions} with every default filled in. */
export type ClosePlan = {
  readonly [Name in keyof HubCloseOptions]-?: NonNullable<HubCloseOptions[Name]>;
};

const CLOSE_NAMES: readonly (keyof HubCloseOptions)[] = [
  'timeout',
  'code',
  'reason',
  'over',
  'discard',
];

/** @throws TypeError or RangeError that names the option. */
export function checkCloseOptions(options: HubCloseOptions): ClosePlan {
  checkOptionNames('hub.close', options, CLOSE_NAMES, 'ignore', optionHint);
  const { code = CloseCode.GoingAway, reason = '', over = 0, discard = false } = options;
  checkClose('hub.close', code, reason);
  if (typeof discard !== 'boolean') {
    throw new TypeError(`discard: expected true or false, got ${kind(discard)}`);
  }
  return {
    timeout: duration('timeout', options.timeout, 30_000, false),
    code,
    reason,
    discard,
    over: over === 0 ? 0 : duration('over', over, 0, false),
  };
}
