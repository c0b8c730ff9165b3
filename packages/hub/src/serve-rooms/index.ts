/**
 * Rooms for clients.
 *
 * @module rooms
 */

import type { ConnLike, StandardSchema } from '@ws/conn';
import { addHabits, checkOptionNames, duration, type Habits } from '@ws/conn/internal';
import {
  type Contract,
  contract,
  type Definitions,
  type EventDefinition,
  type HandlerOptions,
  type HandlersOption,
  type None,
  type Peer,
  type SchemaInput,
  type SessionHandlerContext,
} from '@ws/rpc';
import { withRoomHandlers, withRooms } from '@ws/rpc/internal';
import type { ConnectContext } from '../events.ts';
import { SERVER_HABITS } from '../habits.ts';
import type { Hub } from '../hub.ts';
import type { HubOptions } from '../options.ts';
import type { Session } from '../sessions/session.ts';
import { RoomServer } from './room-server.ts';
import type { RoomTable } from './room-table.ts';

export type {
  CloseHandler,
  CloseInfo,
  Conn,
  ConnLike,
  ConnState,
  ConnStats,
  DataType,
  Message,
  MessageData,
  MessageReader,
  MessageStreams,
  MessageWriter,
  PingPongHandler,
  Role,
} from '@ws/conn';
export type { None, Peer } from '@ws/rpc';
export type { ConnectContext, ConnectQuery } from '../events.ts';
export type { Everywhere } from '../everywhere/everywhere.ts';
export type { Kept } from '../history/room-history.ts';
export type { Hub, HubStats } from '../hub.ts';
export type { HubCloseResult } from '../options.ts';
export type { Position } from '../position.ts';
export type { JSONValue, PresenceChange, Presences, Present } from '../presence/room-presence.ts';
export type { Joined, Room } from '../rooms/room.ts';
export type { Session } from '../sessions/session.ts';
export type { Waiting } from '../sessions/waiting-messages.ts';

export type { May, RoomRules, RoomTable } from './room-table.ts';

/** Longest time of `mayJoin`, `mayPublish` and an asynchronous schema, in ms. */
const TIMEOUT_MS = 10_000;

/** The options of {@link serveRooms}. */
export interface ServeRoomsOptions<Data> {
  /**
   * The options of the hub. The table replaces `rooms` and `mayJoin`. `overflow` is always `close`: a
   * client that reads too slowly connects again, and resumes. `maxRoomsPerSession` is 100 by default.
   */
  readonly hub?: Omit<HubOptions<Data>, 'rooms' | 'mayJoin' | 'overflow'> | undefined;
  /**
   * Longest time of `mayJoin`, `mayPublish` and an asynchronous schema, in ms. After this time the
   * client asks again later. Default: 10,000.
   */
  readonly timeout?: number | undefined;
}

/** The options of {@link serveRooms} with your own contract. */
export interface ContractServeOptions<Data, S extends Definitions, C extends Definitions>
  extends ServeRoomsOptions<Data>,
    HandlerOptions {
  /**
   * Your own contract on the same connections. `handlers` has a function for each name of its `server`.
   * Requests of rooms do not wait for these functions.
   */
  readonly contract: Contract<S, C>;
}

/** Rooms that clients join, with their hub. */
export interface RoomsServer<Data, C extends Definitions, Infos = Record<string, unknown>>
  extends Habits<typeof SERVER_HABITS> {
  /**
   * The hub, for calls by your server. In a room of the table, your server publishes JSON:
   * `hub.room(name).publishJSON(value)`.
   */
  readonly hub: Hub<Data, Infos>;
  /** The handler of the hub, for `serve`, `Upgrader` and routes. */
  readonly handler: (conn: ConnLike, request?: unknown, ctx?: ConnectContext) => Promise<void>;
  /** Calls the client of a session by the methods and events of your own contract. */
  peer(session: Session<Data>): Peer<C>;
  /**
   * Sends an event of your own contract to the members of a room, on all nodes. The event is in order
   * with the messages of the room. The history does not keep it, and no loop of a client gets it.
   *
   * @param event - An event of the contract, for example `contract.client.said`.
   * @throws (rejects) JSONError when `value` does not fit; TypeError for another event, and for an
   *   asynchronous schema; otherwise as `publish` of a room.
   */
  emit<I extends StandardSchema>(
    room: string,
    event: EventDefinition<I>,
    value: SchemaInput<I>,
  ): Promise<void>;
}

const NAMES = ['hub', 'contract', 'handlers', 'concurrency', 'streams', 'timeout'];

/**
 * Creates a hub for clients that join rooms, publish, and get missed messages after a break. The client
 * is `roomsOf` of `@ws/rpc/rooms`, or any program that speaks JSON-RPC 2.0.
 *
 * @param table - The rooms that clients may join. Any other name is refused.
 * @throws TypeError or RangeError that names the key and the option.
 *
 * @example
 * ```ts
 * import { serveRooms } from '@ws/hub/rooms';
 * import { serve } from '@ws/node-server';
 * import { z } from 'zod';
 *
 * const rooms = serveRooms({
 *   'chat/*': { schema: z.object({ text: z.string() }), history: true, mayJoin: true, mayPublish: true },
 * });
 * const server = await serve({ port: 8080 }, rooms.handler);
 * await rooms.hub.room('chat/main').publishJSON({ text: 'hello' });
 * ```
 */
export function serveRooms<Data = unknown, Infos = Record<string, unknown>>(
  table: RoomTable<Data, Infos>,
  options?: ServeRoomsOptions<Data> & { readonly contract?: undefined },
): RoomsServer<Data, None, Infos>;
/** As above, with your own contract on the same connections. */
export function serveRooms<
  Data,
  S extends Definitions,
  C extends Definitions,
  Infos = Record<string, unknown>,
>(
  table: RoomTable<Data, Infos>,
  options: ContractServeOptions<Data, S, C> &
    HandlersOption<S, SessionHandlerContext<Session<Data>, Peer<C>>>,
): RoomsServer<Data, C, Infos>;
export function serveRooms<Data>(
  table: RoomTable<Data>,
  options: object = {},
): RoomsServer<Data, never> {
  const given: Partial<ContractServeOptions<Data, None, None>> & {
    handlers?: object;
  } = options;
  if (typeof given === 'function') {
    throw new TypeError('serveRooms: it takes no handler; write serve(options, rooms.handler)');
  }
  if (typeof (given as { start?: unknown }).start === 'function') {
    throw new TypeError('serveRooms: write serveRooms(table, { hub: { backplane } })');
  }
  checkOptionNames('serveRooms', given, NAMES, 'ignore');
  const { hub = {}, contract: own = contract({}), handlers = {}, concurrency, streams } = given;
  const merged = withRooms('serveRooms', own) as Contract<Definitions, Definitions>;
  const server = new RoomServer(
    table,
    hub,
    duration('timeout', given.timeout, TIMEOUT_MS, false),
    own.client,
  );
  const all = withRoomHandlers('serveRooms', handlers, own.server, server.handlers);
  server.hub.on('message', merged.listener<Session<Data>>(all as never, { concurrency, streams }));
  const rooms: Omit<RoomsServer<Data, never>, keyof Habits<typeof SERVER_HABITS>> = {
    hub: server.hub,
    handler: server.hub.handler,
    // Not `own.peer`: the contract may be of another copy of `@ws/rpc`, which knows none of the
    // connections.
    peer: (session) => {
      if (given.contract !== undefined) return merged.peer(session) as never;
      throw new TypeError(
        'peer: write the contract too, serveRooms(table, { contract, handlers })',
      );
    },
    emit: async (room, event, value) => {
      if (own.client[event?.name as never] !== event) {
        throw new TypeError(
          'emit: expected an event of the contract: rooms.emit(room, contract.client.said, value)',
        );
      }
      await server.emit(room, event.encode(value));
    },
  };
  addHabits(rooms, 'rooms', SERVER_HABITS);
  return rooms as RoomsServer<Data, never>;
}
