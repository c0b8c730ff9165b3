import {
  BackpressureError,
  CloseError,
  portablePlatform,
  type SchemaOutput,
  TimeoutError,
} from '@ws/conn';
import {
  addAbortListener,
  addHabits,
  CallPromise,
  checkNoMaps,
  checkOptionNames,
  Deferred,
  duration,
  formatJSON,
  type Habits,
  hasOwn,
  isConnLike,
  kind,
  removeAbortListener,
} from '@ws/conn/internal';
import type { CallOptions } from '../calls.ts';
import { isReconnecting, type ReconnectingConnLike } from '../carrier.ts';
import {
  type ConnectOptions,
  type Contract,
  contract,
  type HandlerContext,
  type HandlersOption,
  type None,
  type Peer,
} from '../contract.ts';
import type { Definitions } from '../definitions.ts';
import { RpcError } from '../rpc-error.ts';
import type { SchemaInput } from '../schema.ts';
import { type ClientRoom, reportFor } from './client-room.ts';
import { ClientRooms, type MembersListener } from './client-rooms.ts';
import { Delays, maySucceedLater } from './delays.ts';
import { ROOMS_HABITS } from './habits.ts';
import {
  isId,
  isLast,
  isPosition,
  type JoinOptions,
  type Position,
  ROOM_REFUSED,
  withRoomHandlers,
  withRooms,
} from './room-contract.ts';
import type { RoomMessage } from './room-loop.ts';
import { KnownMembers, type RoomMembers } from './room-members.ts';
import {
  checkSchemas,
  type InfoOf,
  type MessageOf,
  type RoomSchemas,
  type StateOf,
} from './room-schemas.ts';

/** The options of {@link roomsOf}. */
export interface RoomsOptions<T extends RoomSchemas> {
  /**
   * Schemas of messages, states and the `info` of members, by the keys of the server's table. A schema
   * gives values a type, and checks them when they arrive. Default: no schemas, all values are
   * `unknown`.
   */
  readonly schemas?: T | undefined;
}

/** The options of {@link roomsOf} with your own contract. */
export interface ContractRoomsOptions<
  S extends Definitions,
  C extends Definitions,
  T extends RoomSchemas,
> extends RoomsOptions<T>,
    ConnectOptions {
  /**
   * Your own contract on the same connection. `handlers` has a function for each name of its
   * `client`.
   */
  readonly contract: Contract<S, C>;
}

/** The options of `Rooms.publish`. */
export interface PublishOptions extends CallOptions {
  /**
   * The id of the message: 22 to 36 random characters of `A-Z a-z 0-9 _ -`, such as those of
   * `crypto.randomUUID()`. Store it with the message, and publish both again after the page was loaded
   * again: loops that have the message drop the repetition, if its `data` is the same and it is one of
   * their last 1,000. Default: a random id.
   */
  readonly id?: string | undefined;
}

/** Longest name of a room, in bytes. */
const MAX_NAME = 256;
/** Bound of the publications that wait for an answer. */
const MAX_PUBLICATIONS = 1_000;
/** Default of the option `timeout` of `publish`, in ms. */
const TIMEOUT_MS = 30_000;

/** What Rooms has not, see {@link Habits}. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: `addHabits` adds them to the prototype
// oxlint-disable-next-line no-unused-vars, typescript/no-unsafe-declaration-merging -- as the class
export interface Rooms<S extends Definitions, T extends RoomSchemas>
  extends Habits<typeof ROOMS_HABITS> {}

/**
 * The client's end of `serveRooms`, over all connections of a ReconnectingConn. {@link roomsOf}
 * creates it.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface below
export class Rooms<S extends Definitions, T extends RoomSchemas> {
  /** The methods and events of your own contract. */
  readonly peer: Peer<S>;
  readonly #rooms: ClientRooms;
  /** Number of publications that wait for an answer. */
  #publications = 0;

  /** @internal */
  constructor(rooms: ClientRooms) {
    hasHabits ||= addHabits(Rooms.prototype, 'rooms', ROOMS_HABITS);
    this.#rooms = rooms;
    const own = Object.entries(rooms.peer).filter(([name]) => !name.startsWith('room.'));
    this.peer = Object.freeze(Object.assign(Object.create(null), Object.fromEntries(own)));
  }

  /**
   * Joins a room, and begins a loop over its messages. On each later connection the loop joins again,
   * and yields the messages that it has missed. The loop yields no message twice, and yields a `gap`
   * where messages may be missing. In a room with a state, the loop begins with the state, and yields a
   * new state in place of a `gap`. After each join, the loop yields the messages from before the join,
   * then `live`. The loops of a room share one join. A loop keeps up to 1,000 unread messages or 1 MiB.
   * It requests further messages when your code has read these. `break` ends the loop. After the last
   * loop, the client leaves the room.
   *
   * @returns The loop. When the ReconnectingConn ends, the loop ends too, and throws the same
   *   error. The loop also throws an {@link RpcError} with the code -32001 when the server refuses
   *   the room; the RpcError that the server's function `state` has thrown; a JSONError for a state
   *   that does not fit its schema; a CloseError 1009 for a state that is longer than `readLimit`.
   *   The loop passes over a message that does not fit its schema. A `gap`, or a state, follows after
   *   1 s; after up to 60 s if there are many. The first such message of a room is reported. If a node of
   *   the server has a higher version of the contract, nothing follows, a state that does not fit is passed
   *   over too, and the first one of each key of `schemas` is reported.
   * @throws TypeError for a name that is empty or longer than 256 bytes, an invalid `since`, an
   *   unknown option, or `since` with `last`; RangeError for a `last` out of range.
   */
  join<Name extends string>(
    room: Name,
    options: JoinOptions = {},
  ): AsyncIterableIterator<RoomMessage<SchemaOutput<MessageOf<T, Name>>, StateOf<T, Name>>> {
    checkName('join', room);
    if (room.endsWith('/*')) {
      throw new TypeError(
        `join: ${JSON.stringify(room)} is a key of the table; join one room of it`,
      );
    }
    checkOptionNames('join', options, ['since', 'last'], 'ignore');
    const { since, last } = options;
    if (since !== undefined && !isPosition(since)) {
      throw new TypeError(`since: expected { epoch: string, offset: number }, got ${kind(since)}`);
    }
    if (last !== undefined) checkLast(last, since);
    const loop = this.#rooms.loop(room, { since, last });
    return loop as AsyncIterableIterator<
      RoomMessage<SchemaOutput<MessageOf<T, Name>>, StateOf<T, Name>>
    >;
  }

  /**
   * Publishes in a room that a loop of this client has joined. The message has a random id. If the
   * connection ends before the answer, the message is sent again on the next connection, with the same
   * id. While the server cannot serve the room, for example because the backplane is away, the message
   * is sent again every 1 to 30 s. Loops drop the repetitions. A second call of `publish` has another id,
   * so loops do not drop its message, unless you pass the same {@link PublishOptions.id | id}.
   *
   * @param data - A value that JSON can express. It is serialized during the call.
   * @param options - As for a call of a method, and `id`. `timeout` counts from this call. Default: 30,000.
   * @returns Resolves when the room has the message. A failure that no code awaits is reported.
   * @throws (rejects) {@link RpcError}: -32001 when the server refuses the message, -32602 when
   *   `data` does not fit the schema of the server. TimeoutError, the reason of `signal`, the error
   *   that ended the ReconnectingConn, and the CloseError of a connection that ended with 1007 or
   *   1009, or before the room had no loop any more: after these four, the room may have the message. BackpressureError when 1,000 publications
   *   wait. TypeError without a loop of the room. TypeError or JSONError for bad arguments.
   */
  publish<Name extends string>(
    room: Name,
    data: SchemaInput<MessageOf<T, Name>>,
    options: PublishOptions = {},
  ): Promise<void> {
    const outcome = new CallPromise();
    const failed = (error: unknown): void => {
      if (options?.signal?.aborted && options.signal.reason === error) outcome.reject(error);
      else outcome.reject(error, () => reportFor(room, error));
    };
    this.#publish(room, data, options).then(outcome.resolve, failed);
    return outcome as Promise<unknown> as Promise<void>;
  }

  async #publish(name: string, data: unknown, options: PublishOptions): Promise<void> {
    checkName('publish', name);
    checkOptionNames('publish', options, ['id', 'signal', 'timeout'], 'ignore');
    const { id = randomId() } = options;
    if (!isId(id)) {
      const got = typeof id === 'string' ? JSON.stringify(id) : kind(id);
      throw new TypeError(`id: expected 22 to 36 random characters of A-Z a-z 0-9 _ -, got ${got}`);
    }
    const ms = duration('timeout', options.timeout, TIMEOUT_MS, true);
    // Copies the data, so that each repetition has the same bytes.
    const text = formatJSON(data);
    checkNoMaps('publish', data, text);
    const message = { room: name, id, data: JSON.parse(text) as unknown };
    if (this.#publications >= MAX_PUBLICATIONS) {
      throw new BackpressureError(
        `${MAX_PUBLICATIONS} publications wait; await earlier ones first`,
      );
    }
    this.#rooms.checkOpen();
    const joined = this.#rooms.get(name);
    if (joined === undefined) throw noLoop(name);
    const { signal } = options;
    if (signal?.aborted) throw signal.reason;
    const control = new AbortController();
    const aborted = (): void => control.abort(signal!.reason);
    if (signal !== undefined) addAbortListener(signal, aborted);
    const attempts: Attempts = { signal: control.signal, delays: new Delays(), cause: undefined };
    const why = `no answer to publish within ${ms} ms (option timeout)`;
    const late = (): void => control.abort(new TimeoutError(why, { cause: attempts.cause }));
    const cancel = ms === Infinity ? undefined : portablePlatform.setTimer(ms, late, true);
    this.#publications++;
    try {
      // After all loops have ended and a new one has begun, the room is another object.
      const room = (): ClientRoom => this.#rooms.get(name) ?? joined;
      while (!(await this.#tryPublish(room(), message, attempts)));
    } finally {
      cancel?.();
      if (signal !== undefined) removeAbortListener(signal, aborted);
      this.#publications--;
    }
  }

  /**
   * @returns Whether the room has the message. If not, the caller sends it again: the connection broke,
   *   or the server could not serve the room.
   */
  async #tryPublish(
    room: ClientRoom,
    message: { readonly room: string; readonly id: string; readonly data: unknown },
    attempts: Attempts,
  ): Promise<boolean> {
    const { signal } = attempts;
    // A member sends without a wait, so that the message comes before a later leave or close.
    if (!room.isDecided) await waitFor(signal, (done) => room.onDecided(done));
    this.#rooms.checkOpen();
    if (!room.isMember && room.isDecided)
      throw room.failure ?? attempts.broken ?? noLoop(room.name);
    const { conn } = this.#rooms;
    const { changes } = room;
    try {
      await this.#rooms.server['room.publish'](message, { signal, timeout: false });
      return true;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const isRefused = error instanceof RpcError && error.code === ROOM_REFUSED;
      // If the membership ended before the request arrived, the next request may succeed.
      const isStale = isRefused && (conn !== this.#rooms.conn || changes !== room.changes);
      if (maySucceedLater(error)) {
        attempts.cause = error;
        await waitFor(signal, (done) => attempts.delays.wait(done));
      } else if (!isStale && !this.#rooms.isBreak(conn, error)) throw error;
      if (error instanceof CloseError) attempts.broken = error;
      return false;
    }
  }

  /**
   * The members, on all nodes of the server, of a room that a loop of this client has joined. The map is
   * empty before the join. Without `members: true` for the room in the server's table, the map stays
   * empty and an error is reported. Each change creates another map.
   */
  members<Name extends string>(room: Name): RoomMembers<InfoOf<T, Name>> {
    checkName('members', room);
    const members = this.#rooms.get(room)?.askMembers() ?? new KnownMembers();
    return members as RoomMembers<InfoOf<T, Name>>;
  }

  /**
   * Calls `listener` when the members of a room have changed: at most once a second for each room, and
   * after each join.
   *
   * @returns A function that removes the listener.
   * @throws TypeError for an unknown event, or when `listener` is not a function.
   */
  on(event: 'members', listener: MembersListener): () => void {
    if (event !== 'members') {
      throw new TypeError(
        `on: expected 'members', got ${String(event)}; read messages by for await (const item of rooms.join(room))`,
      );
    }
    if (typeof listener !== 'function') {
      throw new TypeError(`on: expected a function, got ${kind(listener)}`);
    }
    return this.#rooms.listen(listener);
  }
}

/** The attempts of one publication. */
type Attempts = {
  /** Aborts after the option `timeout`, or with the signal of the caller. */
  readonly signal: AbortSignal;
  readonly delays: Delays;
  /** The error of the last attempt: the `cause` of the TimeoutError. */
  cause: unknown;
  /** The error of a connection that ended before its answer: the room may have the message. */
  broken?: CloseError;
};

/**
 * Waits until `begin` calls `done`, or `signal` aborts.
 *
 * @param begin - Arranges the call of `done`. Returns a function that cancels this arrangement, called
 *   at the end of the wait.
 * @throws (rejects) the reason of `signal`.
 */
async function waitFor(
  signal: AbortSignal,
  begin: (done: () => void) => () => void,
): Promise<void> {
  if (signal.aborted) throw signal.reason;
  const waiting = new Deferred<void>();
  const aborted = (): void => waiting.reject(signal.reason);
  const stop = begin(() => waiting.resolve());
  signal.addEventListener('abort', aborted);
  try {
    await waiting.promise;
  } finally {
    stop();
    signal.removeEventListener('abort', aborted);
  }
}

/**
 * The rooms that a server offers by `serveRooms` of `@ws/hub/rooms`, over a ReconnectingConn. This call
 * reads all messages of its connections: no other code may read them.
 *
 * @throws TypeError when `live` is no ReconnectingConn, for a missing or unknown handler, and for a
 *   name that begins with `room.`.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { ReconnectingConn } from '@ws/reconnect';
 * import { serveRooms } from '@ws/hub/rooms';
 * import { roomsOf } from '@ws/rpc/rooms';
 * import { z } from 'zod';
 *
 * const server = serveRooms({ 'chat/*': { schema: z.string(), mayJoin: true, mayPublish: true } });
 * const live = new ReconnectingConn(async () => {
 *   const [client, conn] = connPair();
 *   server.hub.add(conn);
 *   return client;
 * });
 * const rooms = roomsOf(live);
 * const loop = rooms.join('chat/main');
 * await rooms.publish('chat/main', 'hello');
 * for await (const message of loop) {
 *   if (message.kind !== 'message') continue;
 *   console.log(message.data); // hello
 *   break;
 * }
 * await live.close();
 * await server.hub.close();
 * ```
 */
export function roomsOf<const T extends RoomSchemas = None>(
  live: ReconnectingConnLike,
  options?: RoomsOptions<T> & { readonly contract?: undefined },
): Rooms<None, T>;
/** As above, with your own contract on the same connection. */
export function roomsOf<
  S extends Definitions,
  C extends Definitions,
  const T extends RoomSchemas = None,
>(
  live: ReconnectingConnLike,
  options: ContractRoomsOptions<S, C, T> & HandlersOption<C, HandlerContext<Peer<S>>>,
): Rooms<S, T>;
export function roomsOf(
  live: ReconnectingConnLike,
  options: object = {},
  ...more: unknown[]
): Rooms<never, never> {
  if (!isReconnecting(live)) {
    const got = isConnLike(live) ? 'a Conn; write new ReconnectingConn(url)' : kind(live);
    throw new TypeError(`roomsOf: expected a ReconnectingConn, got ${got}`);
  }
  if (more.length > 0 || hasOwn(Object(options), 'server')) {
    throw new TypeError('roomsOf: write roomsOf(live, { contract, handlers, schemas })');
  }
  const given: Partial<ContractRoomsOptions<None, None, RoomSchemas>> & { handlers?: object } =
    options;
  checkOptionNames('roomsOf', given, OPTIONS, 'ignore');
  if (given.handlers !== undefined && given.contract === undefined) {
    throw new TypeError('roomsOf: handlers: write the contract too, { contract, handlers }');
  }
  const { schemas = {}, contract: own = contract({}), handlers = {} } = given;
  const { concurrency, streams, onOutdated } = given;
  for (const [key, each] of Object.entries(schemas)) checkSchemas(`schemas: ${key}`, each);
  const merged = withRooms('roomsOf', own) as Contract<Definitions, Definitions>;
  const connect = (ofRooms: object): Peer<Definitions> =>
    merged.connect(live, withRoomHandlers('roomsOf', handlers, own.client, ofRooms), {
      concurrency,
      streams,
      onOutdated,
    });
  return new Rooms(new ClientRooms(live, connect, schemas));
}

const OPTIONS: readonly string[] = [
  'contract',
  'handlers',
  'schemas',
  'concurrency',
  'streams',
  'onOutdated',
];

function noLoop(room: string): TypeError {
  const name = JSON.stringify(room);
  return new TypeError(`publish: no loop is in ${name}; join ${name} first`);
}

/** @throws TypeError, RangeError for a bad option `last`. */
function checkLast(last: number, since: Position | undefined): void {
  if (since !== undefined) throw new TypeError('join: since and last: expected one of them');
  if (typeof last !== 'number') throw new TypeError(`last: expected a number, got ${kind(last)}`);
  if (!isLast(last)) throw new RangeError(`last: expected 1 to 1000, got ${String(last)}`);
}

function checkName(owner: string, room: unknown): void {
  if (typeof room !== 'string')
    throw new TypeError(`${owner}: expected a string, got ${kind(room)}`);
  const bytes = room.length * 3 <= MAX_NAME ? room.length : new TextEncoder().encode(room).length;
  if (bytes >= 1 && bytes <= MAX_NAME) return;
  throw new TypeError(`${owner}: a name of a room has 1 to ${MAX_NAME} bytes, got ${bytes}`);
}

/** 128 random bits in hexadecimal. The id is no secret, and React Native has no `crypto`. */
function randomId(): string {
  const words = new Int32Array(4);
  if ('crypto' in globalThis) portablePlatform.randomFill(words);
  else for (let i = 0; i < words.length; i++) words[i] = Math.random() * 2 ** 32;
  return Array.from(words, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}

/** Whether the prototype has its {@link Habits}. */
let hasHabits = false;
