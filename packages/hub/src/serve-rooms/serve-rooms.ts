import type { ConnLike } from '@ws/conn';
import {
  addAbortListener,
  checkOptionNames,
  formatJSON,
  removeAbortListener,
} from '@ws/conn/internal';
import {
  type Contract,
  contract,
  type Definitions,
  type Handlers,
  type Peer,
  RpcError,
  type SessionHandlerContext,
} from '@ws/rpc';
import { check, ErrorCode, ROOM_REFUSED, withRoomHandlers, withRooms } from '@ws/rpc/internal';
import { BackplaneError, OverflowError, RoomRefusedError, SessionClosedError } from '../errors.ts';
import type { ConnectContext } from '../events.ts';
import type { Position } from '../history/position.ts';
import { Hub } from '../hub.ts';
import type { HubOptions, RoomOptions } from '../options.ts';
import type { JoinOptions } from '../rooms/resume.ts';
import type { Joined } from '../rooms/room.ts';
import type { Session } from '../sessions/session.ts';
import { MemberEvents } from './member-events.ts';
import { ask, type RoomRules, type RoomTable, rulesByName } from './room-table.ts';
import { gapText, keptText, messageText } from './room-text.ts';

/** Rooms of one client. */
const MAX_ROOMS = 100;

/** The options of {@link serveRooms}. */
export interface ServeRoomsOptions<Data, S extends Definitions, C extends Definitions> {
  /**
   * The options of the hub. `rooms` and `mayJoin` are in the table. `overflow` is `close`: a client that
   * reads too slowly returns, and resumes.
   */
  readonly hub?: Omit<HubOptions<Data>, 'rooms' | 'mayJoin' | 'overflow'> | undefined;
  /** Your own contract on the same connections. Default: none. */
  readonly contract?: Contract<S, C> | undefined;
  /** One for each name of `server` of the contract. */
  readonly handlers?: Handlers<S, SessionHandlerContext<Session<Data>, Peer<C>>> | undefined;
}

/** Rooms that clients join, with their hub. */
export interface RoomsServer<Data, C extends Definitions> {
  /**
   * The hub, for all that the server does by itself. What it publishes in a room of the table is JSON:
   * `hub.room(name).publishJSON(value)`.
   */
  readonly hub: Hub<Data>;
  /** The handler for `serve`, `Upgrader` and routes: that of the hub. */
  readonly handler: (conn: ConnLike, request?: unknown, ctx?: ConnectContext) => Promise<void>;
  /** The methods and events of your own contract, at the client of a session. */
  peer(session: Session<Data>): Peer<C>;
}

// oxlint-disable-next-line typescript/no-empty-object-type -- no definitions
type None = {};

/**
 * Creates a hub whose clients join rooms, publish, and get what they have missed after a break. The
 * client is `roomsOf` of `@ws/rpc/rooms`, or any program that speaks JSON-RPC 2.0.
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
export function serveRooms<
  Data = unknown,
  S extends Definitions = None,
  C extends Definitions = None,
>(table: RoomTable<Data>, options: ServeRoomsOptions<Data, S, C> = {}): RoomsServer<Data, C> {
  checkOptionNames('serveRooms', options, ['hub', 'contract', 'handlers'], 'ignore');
  const { hub: hubOptions = {}, handlers = {} } = options;
  const own = options.contract ?? contract<S, C>({});
  const merged = withRooms('serveRooms', own) as Contract<Definitions, Definitions>;
  const server = new RoomServer(table, hubOptions);
  const all = withRoomHandlers('serveRooms', handlers, own.server, server.handlers);
  server.hub.on('message', merged.listener<Session<Data>>(all as never));
  return {
    hub: server.hub,
    handler: server.hub.handler,
    peer: (session) => own.peer(session),
  };
}

interface Asked<Data> extends SessionHandlerContext<Session<Data>, unknown> {
  /** Those behind this handler start. */
  releasePlace(): void;
}

/** Answers the methods of rooms. */
class RoomServer<Data> {
  readonly hub: Hub<Data>;
  readonly handlers: object = {
    'room.join': (input: { room: string; since?: Position }, asked: Asked<Data>) =>
      this.#join(input.room, input.since, asked),
    'room.leave': ({ room }: { room: string }, { session }: Asked<Data>) =>
      this.#leave(session, room),
    'room.publish': (
      input: { room: string; id: string; data: unknown },
      { session }: Asked<Data>,
    ) => this.#publish(session, input.room, input.id, input.data),
  };
  readonly #members: MemberEvents<Data>;
  readonly #rulesOf: (name: string) => RoomRules<Data> | undefined;
  /** The session that leaves a room because its client has asked for it, and the room. */
  #leaving: readonly [session: Session<Data>, room: string] | undefined;

  constructor(table: RoomTable<Data>, options: HubOptions<Data>) {
    for (const name of ['rooms', 'mayJoin', 'overflow'] as const) {
      if (options[name] === undefined) continue;
      throw new TypeError(
        name === 'overflow'
          ? 'serveRooms: hub.overflow is close, so that a slow client resumes; leave it out'
          : `serveRooms: hub.${name} is made of the table; leave it out`,
      );
    }
    this.#rulesOf = rulesByName(table);
    this.hub = new Hub<Data>({
      ...options,
      rooms: roomOptions(table, options.backplane !== undefined),
      // Rooms outside of the table are those of the server alone.
      mayJoin: (session, room) => {
        const rules = this.#rulesOf(room);
        return rules === undefined || (ask(rules.mayJoin, session, room) as boolean);
      },
    });
    this.hub.on('gap', (room, from) => this.#gap(room, from));
    this.hub.on('left', (session, room) => this.#left(session, room));
    this.#members = new MemberEvents(this.hub);
    this.hub.on('presence', (room, change) => {
      if (this.#rulesOf(room)?.members === true) this.#members.changed(room, change);
    });
  }

  async #join(
    room: string,
    since: Position | undefined,
    asked: Asked<Data>,
  ): Promise<Omit<Joined, 'room'>> {
    const { session, signal } = asked;
    const rules = this.#rulesOf(room);
    if (rules === undefined || this.#hasTooMany(session, room)) throw refused();
    const giveUp = (): void => void this.#leave(session, room);
    addAbortListener(signal, giveUp);
    try {
      const { complete, missed, position } = await this.#joinAgain(session, room, {
        since,
        first: ({ complete }) => {
          // A client that reads slowly gets its missed messages slowly. Its other requests do not wait.
          asked.releasePlace();
          return complete || since === undefined ? undefined : gapText(room, since, true);
        },
      });
      if (rules.members === true) this.#members.joined(session, room);
      return { complete, missed, position };
    } catch (error) {
      throw isRefusal(error) ? refused() : error;
    } finally {
      removeAbortListener(signal, giveUp);
    }
  }

  /** Joins, also where the session is a member. One that is still catching up begins anew. */
  #joinAgain(
    session: Session<Data>,
    room: string,
    options: JoinOptions<Data>,
  ): Promise<Joined<Data>> {
    const isMember = session.rooms.has(room);
    return session.join(room, options).catch((error: unknown) => {
      if (!isMember || !(error instanceof RoomRefusedError)) throw error;
      this.#leave(session, room);
      return session.join(room, options);
    });
  }

  #hasTooMany({ rooms }: Session<Data>, room: string): boolean {
    if (rooms.size < MAX_ROOMS || rooms.has(room)) return false;
    const ofTable = [...rooms].filter((name) => this.#rulesOf(name) !== undefined);
    return ofTable.length >= MAX_ROOMS;
  }

  #leave(session: Session<Data>, room: string): null {
    if (this.#rulesOf(room) === undefined) throw refused();
    this.#leaving = [session, room];
    session.leave(room);
    this.#leaving = undefined;
    return null;
  }

  async #publish(session: Session<Data>, room: string, id: string, data: unknown): Promise<null> {
    const rules = this.#rulesOf(room);
    const isAllowed =
      session.rooms.has(room) && (await ask(rules?.mayPublish, session, room)) === true;
    if (!isAllowed) throw refused();
    const { value, issues } =
      rules?.schema === undefined ? { value: data } : await check(rules.schema, data);
    // It may have left while `mayPublish` or the schema has decided.
    if (!session.rooms.has(room)) throw refused();
    if (issues !== undefined)
      throw new RpcError(ErrorCode.InvalidParams, 'Invalid params', { issues });
    try {
      await this.hub.room(room).publish(keptText(id, jsonOf(value)));
    } catch (error) {
      // The hub reports these.
      const isLater = error instanceof BackplaneError || error instanceof OverflowError;
      throw isLater ? new RpcError(ErrorCode.Busy, 'the room takes no messages now') : error;
    }
    return null;
  }

  #gap(room: string | undefined, from: Position | undefined): void {
    if (room === undefined || this.#rulesOf(room) === undefined) return;
    for (const session of this.hub.room(room).members) session.send(gapText(room, from, false));
  }

  /** The server has ended the membership: the client joins again, and is refused if it may not. */
  #left(session: Session<Data>, room: string): void {
    this.#members.left(session, room);
    const [leaving, left] = this.#leaving ?? [];
    if ((session === leaving && room === left) || session.state !== 'open') return;
    if (this.#rulesOf(room) !== undefined) session.send(gapText(room, undefined, false));
  }
}

/** The option `rooms` of the hub. */
function roomOptions<Data>(
  table: RoomTable<Data>,
  crosses: boolean,
): Record<string, RoomOptions<Data>> {
  const form: RoomOptions<Data>['form'] = (message, { room, position }) =>
    messageText(message, room, position);
  return Object.fromEntries(
    Object.entries(table).map(([key, { history, presence }]) => [
      key,
      { history, presence, form, ...(crosses && { delivery: 'through' as const }) },
    ]),
  );
}

/** @throws {@link RpcError} for a value of so many levels that it cannot be written as JSON. */
function jsonOf(value: unknown): string {
  try {
    return formatJSON(value);
  } catch (error) {
    const isTooDeep = [error, (error as Error).cause].some((each) => each instanceof RangeError);
    throw isTooDeep ? new RpcError(ErrorCode.InvalidParams, 'Invalid params') : error;
  }
}

/** Without the reason: a client must not learn which rooms exist. */
function refused(): RpcError {
  return new RpcError(ROOM_REFUSED, 'room refused');
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof RoomRefusedError ||
    error instanceof SessionClosedError ||
    error instanceof RangeError
  );
}
