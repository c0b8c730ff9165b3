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
import { RpcError } from '../rpc-error.ts';
import { ClientRoom, endedByLength, reportFor } from './client-room.ts';
import type {
  JoinOptions,
  RoomEvents,
  RoomMethods,
  WireMembers,
  WireRoomMessage,
} from './room-contract.ts';
import type { RoomLoop } from './room-loop.ts';
import type { MembersChange } from './room-members.ts';
import { fitting, type RoomSchemas, schemasOf } from './room-schemas.ts';

/**
 * After so many ends within this time, in ms, a client that is slower than its rooms gives up what it
 * has missed.
 */
const MAX_SLOW_ENDS = 3;
const SLOW_MS = 60_000;

/** Gets a room and the changes of its members. */
export type MembersListener = (room: string, change: MembersChange) => unknown;

/** The rooms of a client that have loops. They share the connections and the listeners. */
export class ClientRooms {
  /** The server, with the methods of the application's contract. */
  readonly peer: Peer<Definitions>;
  /** The server, with the methods of rooms. */
  readonly server: Peer<RoomMethods>;
  readonly #live: ReconnectingConnLike;
  readonly #schemas: RoomSchemas;
  readonly #rooms = new Map<string, ClientRoom>();
  readonly #listeners = new Set<{ readonly call: MembersListener }>();
  /** How the ReconnectingConn has ended. */
  #end: { readonly error: unknown } | undefined;
  /** Connections in a row that ended because a message was longer than `readLimit`. */
  #tooLong = 0;
  /** When connections with an answered join have ended because this client read too slowly. */
  #slowEnds: readonly number[] = [];
  /** The last connection with an answered join. */
  answeredOn: ConnLike | undefined;
  /** The end of the last join that runs alone. */
  #alone: Promise<unknown> = RESOLVED;
  /** Rooms with a reported `info` that does not fit its schema. */
  readonly #misfits = new Set<string>();

  constructor(
    live: ReconnectingConnLike,
    connect: (handlers: Handlers<RoomEvents, unknown>) => Peer<Definitions>,
    schemas: RoomSchemas,
  ) {
    this.#live = live;
    this.#schemas = schemas;
    this.peer = connect({
      'room.message': (message) => this.#arrived(message),
      'room.state': (state) => this.#rooms.get(state.room)?.state(state),
      'room.gap': (gap) => this.#rooms.get(gap.room)?.gap(gap),
      'room.members': (event) => this.#rooms.get(event.room)?.shown(this.#fitting(event)),
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

  /** The room of a name, if it has loops. */
  get(name: string): ClientRoom | undefined {
    return this.#rooms.get(name);
  }

  /** Begins a loop. It ends at once after the end of the ReconnectingConn. */
  loop(name: string, options: JoinOptions): RoomLoop {
    let room = this.#rooms.get(name);
    if (room === undefined) this.#rooms.set(name, (room = new ClientRoom(this, name)));
    const loop = room.loop(options, schemasOf(this.#schemas, name));
    if (this.#end !== undefined) room.end(this.#end.error);
    return loop;
  }

  /** The room has no loops. */
  release(room: ClientRoom): void {
    if (this.#rooms.get(room.name) === room) this.#rooms.delete(room.name);
  }

  /** @throws The error of the ReconnectingConn that has ended, or a CloseSentError without one. */
  checkOpen(): void {
    if (this.#end !== undefined) throw this.#end.error ?? new CloseSentError();
  }

  #opened(conn: ConnLike): void {
    void endedByLength(conn).then(
      (isTooLong) => (this.#tooLong = isTooLong ? this.#tooLong + 1 : 0),
    );
    void internalsOf(conn).closed.then(({ code }) => {
      if (code === CloseCode.TryAgainLater && conn === this.answeredOn) this.#wasTooSlow(conn);
    });
    // A room that may have ended the last connection joins before others have live messages.
    const rooms = Array.from(this.#rooms.values()).toSorted(
      (one, two) => two.tooLong - one.tooLong,
    );
    for (const room of rooms) room.opened();
  }

  /** The server has ended a connection because this client reads too slowly. */
  #wasTooSlow(conn: ConnLike): void {
    const now = portablePlatform.now();
    this.#slowEnds = [...this.#slowEnds.filter((at) => now - at < SLOW_MS), now];
    if (this.#slowEnds.length < MAX_SLOW_ENDS) return;
    this.#slowEnds = this.#slowEnds.slice(1);
    for (const room of this.#rooms.values()) room.skipMissed(conn);
  }

  /** Whether joins may bring a message that is too long. Then they run one after the other. */
  get isCautious(): boolean {
    return this.#tooLong >= 2;
  }

  /** @returns The result of `join`, which runs after the others. */
  oneByOne<R>(join: () => Promise<R>): Promise<R> {
    const joined = this.#alone.then(join);
    this.#alone = joined.catch(() => {});
    return joined;
  }

  /** A room was joined on the connection `conn`. */
  joined(conn: ConnLike): void {
    this.answeredOn = conn;
    if (Array.from(this.#rooms.values()).every((room) => room.isMember)) this.#tooLong = 0;
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

  /** The members of a room, their number or whether they are complete have changed. */
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

  #fitting(event: WireMembers): WireMembers {
    return fitting(this.#schemas, event, (error) => {
      if (!this.#misfits.has(event.room)) reportFor(event.room, error);
      this.#misfits.add(event.room);
    });
  }

  #arrived({ room, data, id, from, position }: WireRoomMessage): void {
    let text = '';
    try {
      text = JSON.stringify(data);
    } catch {
      // Too many levels for this engine. The message arrives; a repetition arrives too.
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

/** A hash of 53 bits. A repetition has the id of the first message and the same data. */
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
