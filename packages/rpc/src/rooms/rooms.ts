import { BackpressureError, portablePlatform, type SchemaOutput, TimeoutError } from '@ws/conn';
import {
  addAbortListener,
  CallPromise,
  checkOptionNames,
  Deferred,
  duration,
  formatJSON,
  isConnLike,
  kind,
  removeAbortListener,
} from '@ws/conn/internal';
import type { CallOptions } from '../calls.ts';
import { isReconnecting, type ReconnectingConnLike } from '../carrier.ts';
import {
  type Contract,
  contract,
  type HandlerContext,
  type HandlerOptions,
  type HandlersOption,
  type Peer,
} from '../contract.ts';
import type { Definitions } from '../definitions.ts';
import { RpcError } from '../rpc-error.ts';
import type { SchemaInput } from '../schema.ts';
import { type ClientRoom, Delays, isLater, reportFor } from './client-room.ts';
import { ClientRooms, type MembersListener } from './client-rooms.ts';
import {
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
   * The schemas of what rooms publish, and of `info` of members, by the keys of the server's table. They
   * give both their type, and check them where they arrive. Default: none, both are unknown.
   */
  readonly schemas?: T | undefined;
}

/** The options of {@link roomsOf} with your own contract. */
export interface ContractRoomsOptions<
  S extends Definitions,
  C extends Definitions,
  T extends RoomSchemas,
> extends RoomsOptions<T>,
    HandlerOptions {
  /**
   * Your own contract on the same connection. `handlers` has a function for each name of its
   * `client`.
   */
  readonly contract: Contract<S, C>;
}

/** Longest name of a room, in bytes. */
const MAX_NAME = 256;
/** Publications that are not answered. */
const MAX_PUBLICATIONS = 1_000;
const TIMEOUT_MS = 30_000;

/**
 * The rooms of a client of `serveRooms`, over all connections of a ReconnectingConn. Made by
 * {@link roomsOf}.
 */
export class Rooms<S extends Definitions, T extends RoomSchemas> {
  /** The methods and events of your own contract. */
  readonly peer: Peer<S>;
  readonly #rooms: ClientRooms;
  /** Publications that are not answered. */
  #publications = 0;

  /** @internal */
  constructor(rooms: ClientRooms) {
    this.#rooms = rooms;
    const own = Object.entries(rooms.peer).filter(([name]) => !name.startsWith('room.'));
    this.peer = Object.freeze(Object.assign(Object.create(null), Object.fromEntries(own)));
  }

  /**
   * Joins a room, and begins a loop over its messages. After a break the loop joins again and gets
   * what it has missed: no message twice, and none missing without a `gap`. In a room with a state it
   * begins with the state, and has a state where another loop has a gap. After each join it has
   * `live`. The loops of a room share one join. A loop holds up to 1,000 unread messages or 1 MiB. It drops
   * later ones, and reads them from the server when its reader has caught up. `break` ends the loop; the last one
   * leaves the room.
   *
   * @returns The loop. It ends when the ReconnectingConn has ended, and throws its error. It also
   *   throws an {@link RpcError} with the code -32001 when the server refuses the room, or with the
   *   code that its `state` has thrown; a JSONError for a state that does not fit its schema; a
   *   CloseError 1009 for one that is longer than `readLimit`. In place of a message that does not
   *   fit the schema it has a `gap`, and the first one is reported.
   * @throws TypeError for a name that is not of 1 to 256 bytes, another position or option, and for
   *   `since` with `last`; RangeError for another `last`.
   */
  join<Name extends string>(
    room: Name,
    options: JoinOptions = {},
  ): AsyncIterableIterator<RoomMessage<SchemaOutput<MessageOf<T, Name>>, StateOf<T, Name>>> {
    checkName('join', room);
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
   * Publishes in a room that a loop of this client has joined. The message has a random id. With
   * this id it is sent again after a break and, after 1 to 30 s, while the server says that the
   * room takes no messages, for example because the backplane is away. Loops drop the repetitions.
   * Another call has another id, so loops do not drop it. Call again only if a second copy does no
   * harm.
   *
   * @param data - A value that JSON has. It is read during the call.
   * @param options - As for a call of a method. `timeout` counts from this call. Default: 30,000.
   * @returns Resolves when the room has the message. A failure that no code awaits is reported.
   * @throws (rejects) {@link RpcError}: -32001 when the server refuses it, -32602 when `data` does
   *   not fit the schema of the server. TimeoutError, the reason of `signal`, the error that ended
   *   the ReconnectingConn, and the CloseError of a connection that ended with 1007 or 1009: the
   *   room may have the message. BackpressureError when 1,000 wait. TypeError without a loop of the
   *   room. TypeError or JSONError for bad arguments.
   */
  publish<Name extends string>(
    room: Name,
    data: SchemaInput<MessageOf<T, Name>>,
    options: CallOptions = {},
  ): Promise<void> {
    const outcome = new CallPromise();
    const failed = (error: unknown): void => {
      if (options?.signal?.aborted && options.signal.reason === error) outcome.reject(error);
      else outcome.reject(error, () => reportFor(room, error));
    };
    this.#publish(room, data, options).then(outcome.resolve, failed);
    return outcome as Promise<unknown> as Promise<void>;
  }

  async #publish(name: string, data: unknown, options: CallOptions): Promise<void> {
    checkName('publish', name);
    checkOptionNames('publish', options, ['signal', 'timeout'], 'ignore');
    const ms = duration('timeout', options.timeout, TIMEOUT_MS, true);
    // A copy: each repetition has the same bytes.
    const message = { room: name, id: randomId(), data: JSON.parse(formatJSON(data)) as unknown };
    if (this.#publications >= MAX_PUBLICATIONS) {
      throw new BackpressureError(
        `${MAX_PUBLICATIONS} publications wait; await earlier ones first`,
      );
    }
    this.#rooms.checkOpen();
    const first = this.#rooms.get(name);
    if (first === undefined) throw noLoop(name);
    const given = new GivenUp(ms, options.signal);
    this.#publications++;
    try {
      const delays = new Delays();
      // The loops may have ended, and others may have begun.
      const room = (): ClientRoom => this.#rooms.get(name) ?? first;
      while (!(await this.#tryPublish(room(), message, given, delays)));
    } finally {
      given.forget();
      this.#publications--;
    }
  }

  /**
   * @returns Whether the room has the message. Otherwise the connection broke, or it is to be sent
   * later.
   */
  async #tryPublish(
    room: ClientRoom,
    message: { readonly room: string; readonly id: string; readonly data: unknown },
    given: GivenUp,
    delays: Delays,
  ): Promise<boolean> {
    // A member publishes at once: before a leave or a close that follows.
    if (!room.isDecided) await given.wait((done) => room.onDecided(done));
    this.#rooms.checkOpen();
    if (!room.isMember && room.isDecided) throw room.failure ?? noLoop(room.name);
    const { conn } = this.#rooms;
    const { changes } = room;
    try {
      await this.#rooms.server['room.publish'](message, { signal: given.signal, timeout: false });
      return true;
    } catch (error) {
      if (given.signal.aborted) throw error;
      const isRefused = error instanceof RpcError && error.code === ROOM_REFUSED;
      // The client was no member. The connection or the server had ended the membership.
      const isEarly = isRefused && (conn !== this.#rooms.conn || changes !== room.changes);
      if (isLater(error)) {
        given.cause = error;
        await given.wait((done) => delays.wait(done));
      } else if (!isEarly && !this.#rooms.isBreak(conn, error)) throw error;
      return false;
    }
  }

  /**
   * The members of a room that a loop of this client has joined, on all nodes of the server. Its
   * key in the table needs `members: true`: the map is empty without it, which is reported, and
   * before the join. A change makes another map.
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
   * @returns Removes the listener.
   * @throws TypeError for another event, or when `listener` is not a function.
   */
  on(event: 'members', listener: MembersListener): () => void {
    if (event !== 'members') throw new TypeError(`on: expected 'members', got ${String(event)}`);
    if (typeof listener !== 'function') {
      throw new TypeError(`on: expected a function, got ${kind(listener)}`);
    }
    return this.#rooms.listen(listener);
  }
}

/** Ends a wait by time or by a signal. */
class GivenUp {
  /** Why the work is not done, for the error of the timeout. */
  cause: unknown;
  readonly #control = new AbortController();
  /** Rejects the wait that runs. */
  #waiting: Deferred<void> | undefined;
  readonly #cancel: (() => void) | undefined;
  readonly #given: AbortSignal | undefined;
  readonly #aborted = (): void => this.#giveUp(this.#given?.reason);

  /** @throws The reason of a signal that has aborted. */
  constructor(ms: number, given: AbortSignal | undefined) {
    if (given?.aborted) throw given.reason;
    this.#given = given;
    if (given !== undefined) addAbortListener(given, this.#aborted);
    const why = `no answer to publish within ${ms} ms (option timeout)`;
    const late = (): void => this.#giveUp(new TimeoutError(why, { cause: this.cause }));
    if (ms !== Infinity) this.#cancel = portablePlatform.setTimer(ms, late, true);
  }

  get signal(): AbortSignal {
    return this.#control.signal;
  }

  #giveUp(reason: unknown): void {
    this.#control.abort(reason);
    this.#waiting?.reject(reason);
  }

  /**
   * Waits until `begin` calls its argument.
   *
   * @param begin - Returns a function that stops it: nothing keeps a wait that was given up.
   * @throws (rejects) the reason.
   */
  async wait(begin: (done: () => void) => () => void): Promise<void> {
    const waiting = new Deferred<void>();
    this.#waiting = waiting;
    const stop = begin(() => waiting.resolve());
    try {
      await waiting.promise;
    } finally {
      stop();
    }
  }

  forget(): void {
    this.#cancel?.();
    if (this.#given !== undefined) removeAbortListener(this.#given, this.#aborted);
  }
}

/**
 * The rooms that a server offers by `serveRooms` of `@ws/hub/rooms`, on a ReconnectingConn. It reads the
 * connections, so no other code does.
 *
 * @throws TypeError for another value, a missing or unknown handler, or a name that begins with
 *   `room.`.
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
  if (more.length > 0 || Object.hasOwn(Object(options), 'server')) {
    throw new TypeError('roomsOf: write roomsOf(live, { contract, handlers, schemas })');
  }
  const given: Partial<ContractRoomsOptions<None, None, RoomSchemas>> & { handlers?: object } =
    options;
  checkOptionNames('roomsOf', given, NAMES, 'ignore');
  const { schemas = {}, contract: own = contract({}), handlers = {}, concurrency, streams } = given;
  for (const [key, each] of Object.entries(schemas)) checkSchemas(`schemas: ${key}`, each);
  const merged = withRooms('roomsOf', own) as Contract<Definitions, Definitions>;
  const connect = (ofRooms: object): Peer<Definitions> =>
    merged.connect(live, withRoomHandlers('roomsOf', handlers, own.client, ofRooms), {
      concurrency,
      streams,
    });
  return new Rooms(new ClientRooms(live, connect, schemas));
}

const NAMES: readonly string[] = ['contract', 'handlers', 'schemas', 'concurrency', 'streams'];

// oxlint-disable-next-line typescript/no-empty-object-type -- no definitions
type None = {};

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

/** 128 random bits in base64url. */
function randomId(): string {
  const words = new Int32Array(4);
  portablePlatform.randomFill(words);
  const text = btoa(String.fromCharCode(...new Uint8Array(words.buffer)));
  return text.slice(0, 22).replaceAll('+', '-').replaceAll('/', '_');
}
