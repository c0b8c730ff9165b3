import {
  BackpressureError,
  CloseError,
  CloseSentError,
  type ConnLike,
  portablePlatform,
  type SchemaOutput,
  type StandardSchema,
  TimeoutError,
} from '@ws/conn';
import {
  addAbortListener,
  checkOptionNames,
  Deferred,
  duration,
  formatJSON,
  handled,
  kind,
  onRejection,
  rejected,
  removeAbortListener,
  reportError,
} from '@ws/conn/internal';
import { type CallOptions, REFUSALS } from '../calls.ts';
import { isReconnecting, type ReconnectingConnLike } from '../carrier.ts';
import {
  type Contract,
  contract,
  type HandlerContext,
  type Handlers,
  type Peer,
} from '../contract.ts';
import type { Definitions } from '../definitions.ts';
import { RpcError } from '../rpc-error.ts';
import { checkIsSchema, type SchemaInput } from '../schema.ts';
import { aWhile, ClientRoom, isBusy, type RoomOwner } from './client-room.ts';
import {
  isPosition,
  type Position,
  ROOM_REFUSED,
  type RoomEvents,
  type RoomMethods,
  type WireRoomMessage,
  withRoomHandlers,
  withRooms,
} from './room-contract.ts';
import type { Arrived, RoomMessage } from './room-loop.ts';
import { KnownMembers, type MembersChange, type RoomMembers } from './room-members.ts';

/** The schemas of rooms, by name, or by a prefix with one `*` at its end. */
export type RoomSchemas = Readonly<Record<string, StandardSchema>>;

/** The key of `T` that covers the room `Name`. */
type KeyOf<T, Name extends string> = Name extends keyof T
  ? Name
  : {
      [K in keyof T]: K extends `${infer Prefix}*`
        ? Name extends `${Prefix}${string}`
          ? K
          : never
        : never;
    }[keyof T];

/** The schema of the room `Name`; any without one. */
type SchemaOf<T extends RoomSchemas, Name extends string> = [KeyOf<T, Name>] extends [never]
  ? StandardSchema
  : T[KeyOf<T, Name>];

/** The options of {@link roomsOf}. */
export interface RoomsOptions<T extends RoomSchemas> {
  /**
   * The schemas of what rooms publish, by the keys of the server's table: they give the messages their
   * type, and check them where they arrive. Default: none, `data` is unknown.
   */
  readonly schemas?: T | undefined;
}

/** The options of {@link Rooms.join}. */
export interface JoinOptions {
  /**
   * Position of the last message that is known: the loop begins with those after it. Default: none,
   * the loop begins with the next message.
   */
  readonly since?: Position | undefined;
}

/** Gets a room and what has changed among its members. */
export type MembersListener = (room: string, change: MembersChange) => unknown;

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
  readonly #server: Peer<RoomMethods>;
  readonly #live: ReconnectingConnLike;
  readonly #schemas: RoomSchemas;
  readonly #rooms = new Map<string, ClientRoom>();
  readonly #owner: RoomOwner;
  /** Publications that are not answered. */
  #publications = 0;
  readonly #listeners = new Set<{ readonly call: MembersListener }>();
  /** How the ReconnectingConn has ended. */
  #end: { readonly error: unknown } | undefined;

  /** @internal */
  constructor(
    live: ReconnectingConnLike,
    connect: (handlers: Handlers<RoomEvents, unknown>) => Peer<Definitions>,
    schemas: RoomSchemas,
  ) {
    this.#live = live;
    this.#schemas = schemas;
    const peer = connect({
      'room.message': (message) => this.#arrived(message),
      'room.gap': (gap) => this.#rooms.get(gap.room)?.gap(gap),
      'room.members': (event) => this.#rooms.get(event.room)?.shown(event),
    });
    const own = Object.entries(peer).filter(([name]) => !name.startsWith('room.'));
    this.peer = Object.freeze(Object.assign(Object.create(null), Object.fromEntries(own)));
    this.#server = peer as Peer<RoomMethods>;
    this.#owner = this.#ownerOf(this.#server);
    live.on('open', () => {
      for (const room of this.#rooms.values()) room.opened();
    });
    live.on('close', () => {
      for (const room of this.#rooms.values()) room.closed();
    });
    void live.closed.then(({ error }) => {
      this.#end = { error };
      for (const room of this.#rooms.values()) room.end(error);
    });
  }

  #ownerOf(server: Peer<RoomMethods>): RoomOwner {
    const live = this.#live;
    return {
      server,
      get conn() {
        return live.conn;
      },
      isBreak: (conn, error) => this.#isBreak(conn, error),
      membersChanged: ({ name }, change) => this.#membersChanged(name, change),
      unused: (room) => {
        if (this.#rooms.get(room.name) === room) this.#rooms.delete(room.name);
      },
    };
  }

  /**
   * Joins a room, and begins a loop over its messages. After a break the loop joins again and gets what
   * it has missed: no message twice, and none missing without a `gap`. The loops of a room share one
   * join. A loop holds 1,000 messages or 1 MiB that its reader has not taken; those beyond it reads
   * from the server when it has caught up. `break` ends the loop; the last one leaves the room.
   *
   * @returns The loop. It ends when the ReconnectingConn has ended, and throws its error. It also throws
   *   an {@link RpcError} with the code -32001 when the server refuses the room, and a JSONError for
   *   data that does not fit the schema.
   * @throws TypeError for another name, position or option.
   */
  join<Name extends string>(
    room: Name,
    options: JoinOptions = {},
  ): AsyncIterableIterator<RoomMessage<SchemaOutput<SchemaOf<T, Name>>>> {
    checkName('join', room);
    checkOptionNames('join', options, ['since'], 'ignore');
    const { since } = options;
    if (since !== undefined && !isPosition(since)) {
      throw new TypeError(`since: expected { epoch: string, offset: number }, got ${kind(since)}`);
    }
    const known = this.#room(room);
    const loop = known.loop(since, schemaOf(this.#schemas, room));
    if (this.#end !== undefined) known.end(this.#end.error);
    return loop as AsyncIterableIterator<RoomMessage<SchemaOutput<SchemaOf<T, Name>>>>;
  }

  #room(name: string): ClientRoom {
    const known = this.#rooms.get(name);
    if (known !== undefined) return known;
    const room = new ClientRoom(this.#owner, name);
    this.#rooms.set(name, room);
    return room;
  }

  /**
   * Publishes in a room that a loop of this client has joined. The message has a random id. With this id
   * it is sent again after a break, and each second while the server says that the room takes no
   * messages, for example because the backplane is away. Loops drop the repetitions. Another call has
   * another id, so loops do not drop it: call again only if a second copy does no harm.
   *
   * @param data - A value that JSON has. It is read during the call.
   * @param options - As for a call of a method. `timeout` counts from this call. Default: 30,000.
   * @returns Resolves when the room has the message.
   * @throws (rejects) {@link RpcError}: -32001 when the server refuses it, -32602 when `data` does not
   *   fit the schema of the server. TimeoutError, the reason
   *   of `signal`, the error that ended the ReconnectingConn, and the CloseError of a connection that
   *   ended with 1007 or 1009: the room may have the message.
   *   BackpressureError when 1,000 wait. TypeError or JSONError for bad arguments.
   */
  publish<Name extends string>(
    room: Name,
    data: SchemaInput<SchemaOf<T, Name>>,
    options: CallOptions = {},
  ): Promise<void> {
    try {
      checkName('publish', room);
      checkOptionNames('publish', options, ['signal', 'timeout'], 'ignore');
      const ms = duration('timeout', options.timeout, TIMEOUT_MS, true);
      // A copy: each repetition has the same bytes.
      const copy: unknown = JSON.parse(formatJSON(data));
      if (this.#publications >= MAX_PUBLICATIONS) {
        throw new BackpressureError(
          `${MAX_PUBLICATIONS} publications wait; await earlier ones first`,
        );
      }
      return handled(this.#publish(room, copy, ms, options.signal));
    } catch (error) {
      return rejected(error);
    }
  }

  async #publish(
    room: string,
    data: unknown,
    ms: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const given = new GivenUp(ms, signal);
    this.#publications++;
    try {
      const id = randomId();
      while (!(await this.#tryPublish({ room, id, data }, given)));
    } finally {
      given.forget();
      this.#publications--;
    }
  }

  /** @returns Whether the room has the message. Otherwise the connection broke, or the room was busy. */
  async #tryPublish(
    message: { readonly room: string; readonly id: string; readonly data: unknown },
    given: GivenUp,
  ): Promise<boolean> {
    const known = this.#rooms.get(message.room);
    // A member publishes at once: before a leave or a close that follows.
    if (known?.isDecided === false) await given.wait((done) => known.onDecided(done));
    if (this.#end !== undefined) throw this.#end.error ?? new CloseSentError();
    const { conn } = this.#live;
    try {
      await this.#server['room.publish'](message, { signal: given.signal, timeout: false });
      return true;
    } catch (error) {
      if (given.signal.aborted) throw error;
      const code = error instanceof RpcError ? error.code : undefined;
      // It was sent on a later connection, before the join there.
      const isEarly = code === ROOM_REFUSED && conn !== this.#live.conn;
      if (isBusy(error)) {
        given.cause = error;
        await given.wait(aWhile);
      } else if (!isEarly && !this.#isBreak(conn, error)) throw error;
      return false;
    }
  }

  /** Whether a call has failed because the connection that had it broke. */
  #isBreak(conn: ConnLike | undefined, error: unknown): boolean {
    if (error instanceof CloseError) return !REFUSALS.includes(error.closeCode);
    const isOwn = error instanceof RpcError || error instanceof BackpressureError;
    return !isOwn && this.#end === undefined && this.#live.conn !== conn;
  }

  /**
   * The members of a room that a loop of this client has joined, on all nodes of the server. Its key in the
   * table needs `members: true`: otherwise, and before the join, the map is empty. A change makes another
   * map.
   */
  members(room: string): RoomMembers {
    checkName('members', room);
    return this.#rooms.get(room)?.members ?? new KnownMembers();
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
    const entry = { call: listener };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  #membersChanged(room: string, change: MembersChange): void {
    for (const { call } of this.#listeners) {
      const failed = (error: unknown): void =>
        reportError(undefined, portablePlatform, error, { where: 'on members' });
      try {
        onRejection(call(room, change), failed);
      } catch (error) {
        failed(error);
      }
    }
  }

  #arrived({ room, data, id, position }: WireRoomMessage): void {
    let text = '';
    try {
      text = JSON.stringify(data);
    } catch {
      // Too many levels for this engine. The message arrives; a repetition arrives too.
    }
    const hash = text === '' ? Number.NaN : hashOf(text);
    const message: Arrived = { data, id, position, size: text.length, hash };
    this.#rooms.get(room)?.take(message);
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
 * @param own - Your own contract on the same connection.
 * @param handlers - One for each name of its `client`.
 * @throws TypeError for another value, a missing or unknown handler, or a name that begins with
 *   `room.`.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { ReconnectingConn } from '@ws/conn/reconnecting';
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
 * const { value } = await loop.next();
 * console.log(value?.gap === false && value.data); // hello
 * await live.close();
 * await server.hub.close();
 * ```
 */
export function roomsOf<
  S extends Definitions = None,
  C extends Definitions = None,
  const T extends RoomSchemas = None,
>(
  live: ReconnectingConnLike,
  own: Contract<S, C> = contract<S, C>({}),
  handlers: Handlers<C, HandlerContext<Peer<S>>> = {} as never,
  options: RoomsOptions<T> = {},
): Rooms<S, T> {
  if (!isReconnecting(live)) {
    throw new TypeError(`roomsOf: expected a ReconnectingConn, got ${kind(live)}`);
  }
  checkOptionNames('roomsOf', options, ['schemas'], 'ignore');
  const { schemas = {} } = options;
  for (const [key, schema] of Object.entries(schemas)) checkIsSchema(`schemas: ${key}`, schema);
  const merged = withRooms('roomsOf', own) as Contract<Definitions, Definitions>;
  const connect = (ofRooms: object): Peer<Definitions> =>
    merged.connect(live, withRoomHandlers('roomsOf', handlers, own.client, ofRooms));
  return new Rooms<S, T>(live, connect, schemas);
}

// oxlint-disable-next-line typescript/no-empty-object-type -- no definitions
type None = {};

function checkName(owner: string, room: unknown): void {
  if (typeof room !== 'string')
    throw new TypeError(`${owner}: expected a string, got ${kind(room)}`);
}

/** The schema of the exact name, else of the longest prefix. */
function schemaOf(schemas: RoomSchemas, name: string): StandardSchema | undefined {
  if (Object.hasOwn(schemas, name)) return schemas[name];
  let longest = '';
  for (const key of Object.keys(schemas)) {
    const covers = key.endsWith('*') && name.startsWith(key.slice(0, -1));
    if (covers && key.length > longest.length) longest = key;
  }
  return schemas[longest];
}

/** 128 random bits in base64url. */
function randomId(): string {
  const words = new Int32Array(4);
  portablePlatform.randomFill(words);
  const text = btoa(String.fromCharCode(...new Uint8Array(words.buffer)));
  return text.slice(0, 22).replaceAll('+', '-').replaceAll('/', '_');
}

/** A hash of 53 bits: a repetition has the id of the first message and the same data. */
function hashOf(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    high = Math.imul(high ^ unit, 2_654_435_761);
    low = Math.imul(low ^ unit, 1_597_334_677);
  }
  high =
    Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  low =
    Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  return (high & 0x1fffff) * 0x1_0000_0000 + (low >>> 0);
}
