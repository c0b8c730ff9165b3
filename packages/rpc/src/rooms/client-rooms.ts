import {
  BackpressureError,
  CloseCode,
  CloseError,
  CloseSentError,
  type ConnLike,
  portablePlatform,
} from '@ws/conn';
import { internalsOf, onRejection, RESOLVED, reportError } from '@ws/conn/internal';
import { REFUSALS } from '../calls.ts';
import type { ReconnectingConnLike } from '../carrier.ts';
import type { Handlers, Peer } from '../contract.ts';
import type { Definitions } from '../definitions.ts';
import { linkOf } from '../link.ts';
import { RpcError } from '../rpc-error.ts';
import { ClientRoom, endedByReadLimit, type RoomsOfClient, reportFor } from './client-room.ts';
import type {
  JoinOptions,
  RoomEvents,
  RoomMethods,
  WireMembers,
  WireRoomMessage,
} from './room-contract.ts';
import type { RoomLoop } from './room-loop.ts';
import type { MembersChange } from './room-members.ts';
import { checkInfos, keyOf, type RoomSchemas, schemasOf } from './room-schemas.ts';

/**
 * If the server has ended this many connections within {@link SLOW_MS} because this client reads too
 * slowly, the client gives up the messages that it has missed.
 */
const MAX_SLOW_ENDS = 3;
const SLOW_MS = 60_000;

/** Called with the name of a room and the changes of its members. */
export type MembersListener = (room: string, change: MembersChange) => unknown;

/** The rooms of a client that have loops. All rooms share the connections and the listeners. */
export class ClientRooms implements RoomsOfClient {
  /** Calls the methods of the application's contract at the server. */
  readonly peer: Peer<Definitions>;
  /** Calls the methods of rooms at the server. */
  readonly server: Peer<RoomMethods>;
  readonly #live: ReconnectingConnLike;
  readonly #schemas: RoomSchemas;
  readonly #rooms = new Map<string, ClientRoom>();
  readonly #listeners = new Set<{ readonly call: MembersListener }>();
  /** How the ReconnectingConn has ended; undefined before. */
  #end: { readonly error: unknown } | undefined;
  /**
   * Number of connections that ended because a message was longer than `readLimit`, since a connection
   * on which all loops have joined.
   */
  #limitEnds = 0;
  /** When the last connections ended because this client read too slowly, in ms. */
  #slowEnds: readonly number[] = [];
  /** The last connection on which the server has answered a join. */
  answeredOn: ConnLike | undefined;
  /** Resolves when the last join of one room alone has settled. */
  #lastJoin: Promise<unknown> = RESOLVED;
  /** Rooms for which an invalid `info` was reported; keys of the schemas, if the server is newer. */
  readonly #reported = new Set<string>();

  constructor(
    live: ReconnectingConnLike,
    connect: (handlers: Handlers<RoomEvents, unknown>) => Peer<Definitions>,
    schemas: RoomSchemas,
  ) {
    this.#live = live;
    this.#schemas = schemas;
    this.peer = connect({
      'room.message': (message) => this.#arrived(message),
      'room.state': (state) => this.#rooms.get(state.room)?.takeState(state),
      'room.gap': (gap) => this.#rooms.get(gap.room)?.takeGap(gap),
      'room.members': (event) => this.#rooms.get(event.room)?.takeMembers(this.#checkInfos(event)),
    });
    this.server = this.peer as Peer<RoomMethods>;
    live.on('open', (conn: ConnLike) => this.#opened(conn));
    if (live.conn !== undefined) this.#opened(live.conn);
    live.on('close', () => {
      for (const room of this.#rooms.values()) room.closed();
    });
    void live.closed.then(({ error }) => {
      this.#end = { error };
      for (const room of this.#rooms.values()) room.end(error);
    });
  }

  /** The open connection. */
  get conn(): ConnLike | undefined {
    return this.#live.conn;
  }

  /** The room with this name; undefined without loops. */
  get(name: string): ClientRoom | undefined {
    return this.#rooms.get(name);
  }

  /** Begins a loop. After the end of the ReconnectingConn, the loop ends at once. */
  loop(name: string, options: JoinOptions): RoomLoop {
    let room = this.#rooms.get(name);
    if (room === undefined) this.#rooms.set(name, (room = new ClientRoom(this, name)));
    const loop = room.loop(options, schemasOf(this.#schemas, name));
    if (this.#end !== undefined) room.end(this.#end.error);
    return loop;
  }

  /** Called when the room has no loops. */
  release(room: ClientRoom): void {
    if (this.#rooms.get(room.name) === room) this.#rooms.delete(room.name);
  }

  /** @throws the error that ended the ReconnectingConn; CloseSentError if it ended without one. */
  checkOpen(): void {
    if (this.#end !== undefined) throw this.#end.error ?? new CloseSentError();
  }

  #opened(conn: ConnLike): void {
    void endedByReadLimit(conn).then(
      (isByLimit) => (this.#limitEnds = isByLimit ? this.#limitEnds + 1 : 0),
    );
    void internalsOf(conn).closed.then(({ code }) => {
      if (code === CloseCode.TryAgainLater && conn === this.answeredOn) this.#endedTooSlow(conn);
    });
    // The room that may have ended the last connection joins first, while no other room has messages.
    const rooms = Array.from(this.#rooms.values());
    rooms.sort((one, two) => two.limitEnds - one.limitEnds);
    for (const room of rooms) room.opened();
  }

  /** Called when the server has ended a connection because this client reads too slowly. */
  #endedTooSlow(conn: ConnLike): void {
    const now = portablePlatform.now();
    this.#slowEnds = [...this.#slowEnds.filter((at) => now - at < SLOW_MS), now];
    if (this.#slowEnds.length < MAX_SLOW_ENDS) return;
    this.#slowEnds = this.#slowEnds.slice(1);
    for (const room of this.#rooms.values()) room.skipMissed(conn);
  }

  /**
   * Calls `join`, and returns its result. After `readLimit` has ended two connections, rooms join one at a
   * time: this shows which of them has the message that is too long.
   */
  join<R>(join: (isAlone: boolean) => Promise<R>): Promise<R> {
    if (this.#limitEnds < 2) return join(false);
    const joined = this.#lastJoin.then(() => join(true));
    this.#lastJoin = joined.catch(() => {});
    return joined;
  }

  /** Called when a room was joined on the connection `conn`. */
  joined(conn: ConnLike): void {
    this.answeredOn = conn;
    if (Array.from(this.#rooms.values()).every((room) => room.isSettled)) this.#limitEnds = 0;
  }

  /** Whether a call on the connection `conn` failed because that connection broke. */
  isBreak(conn: ConnLike | undefined, error: unknown): boolean {
    if (error instanceof CloseError) return !REFUSALS.includes(error.closeCode);
    const isOwn = error instanceof RpcError || error instanceof BackpressureError;
    return !isOwn && this.#end === undefined && this.conn !== conn;
  }

  /** See `Rooms.on`. */
  listen(listener: MembersListener): () => void {
    const entry = { call: listener };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** Calls the listeners after a change of `RoomMembers`. */
  membersChanged(room: string, change: MembersChange): void {
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

  #checkInfos(event: WireMembers): WireMembers {
    return checkInfos(this.#schemas, event, (error) => {
      if (!this.passes(event.room, error)) this.#reportOnce(event.room, event.room, error);
    });
  }

  #reportOnce(key: string, room: string, error: unknown): void {
    if (this.#reported.has(key)) return;
    this.#reported.add(key);
    reportFor(room, error);
  }

  /**
   * Whether a value that does not fit its schema may be of a newer version of the contract, so that nothing
   * replaces it. Reports the first one of each key of the schemas.
   */
  passes(room: string, error: unknown): boolean {
    if (linkOf(this.#live)?.hellos?.isServerNewer !== true) return false;
    this.#reportOnce(`key ${keyOf(this.#schemas, room)}`, room, error);
    return true;
  }

  #arrived({ room, data, id, from, position }: WireRoomMessage): void {
    let text = '';
    try {
      text = JSON.stringify(data);
    } catch {
      // `data` has too many levels for this JavaScript engine. Loops cannot recognize its repetition.
    }
    const hash = text === '' ? Number.NaN : hashOf(text);
    this.#rooms.get(room)?.take({
      kind: 'message',
      data,
      id,
      from,
      position,
      size: text.length,
      hash,
    });
  }
}

/** A hash of 53 bits. Messages with the same id and hash are repetitions. */
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
