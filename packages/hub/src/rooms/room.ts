import type { MessageData, PreparedMessage } from '@ws/conn';
import { addHabits, type Facts, type Habits } from '@ws/conn/internal';
import type { PublishOptions } from '../delivery/publish-options.ts';
import { ROOM_FACTS, ROOM_HABITS } from '../habits.ts';
import type { HistoryQuery, Kept } from '../history/room-history.ts';
import type { Position } from '../position.ts';
import type { JSONValue, Presences } from '../presence/room-presence.ts';
import type { Session } from '../sessions/session.ts';
import type { Rooms } from './rooms.ts';

/** The result of `Session.join`. */
export interface Joined<Data = unknown> {
  /** The session is a member of this room. */
  readonly room: Room<Data>;
  /**
   * Whether the session got all missed messages. With `limit`: whether it got all messages of the room.
   * A join without options reads no history: true.
   */
  readonly complete: boolean;
  /**
   * Position of the last message before the live ones. Undefined without options, in a room without
   * history, and when the history could not be read. For the option `first`: of the last message in the
   * first part of the history, at most 100 messages.
   */
  readonly position: Position | undefined;
}

/**
 * The room of a name. A room exists while it has members or history. The object stays valid when
 * the room ends and starts again.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { Hub } from '@ws/hub';
 *
 * const hub = new Hub();
 * const [client, server] = connPair();
 * const { room } = await hub.add(server).join('lobby');
 * await room.publish('hello all');
 * console.log((await client.readMessage()).text()); // hello all
 * ```
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface below
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the same
export class Room<Data = unknown, Info = JSONValue> {
  readonly name: string;
  readonly #rooms: Rooms<Data>;

  /** @internal */
  constructor(rooms: Rooms<Data>, name: string) {
    hasHabits ||= addHabits(Room.prototype, 'room', ROOM_HABITS, ROOM_FACTS);
    this.#rooms = rooms;
    this.name = name;
  }

  /**
   * The members of this node. The Set changes when sessions join and leave. A room that ends and
   * starts again has another Set, so do not store it.
   */
  get members(): ReadonlySet<Session<Data>> {
    return this.#rooms.membersOf(this.name);
  }

  /**
   * The members of all nodes, with the results of the option `presence`. The key is
   * `${node}/${session}`. The Map changes when members come and leave, at once for members of this
   * node. It is empty in a room without the option, and in a room without a member of this node.
   */
  get presence(): Presences<Info> {
    return this.#rooms.presence.of(this.name) as Presences<Info>;
  }

  /**
   * Whether {@link presence} has all members of all nodes. False while a node has not answered, while
   * the backplane is away, in the first 5 s of a hub, and above the option `maxPresence`. Also false
   * for up to a minute after a node has fallen silent, because that node may live beyond a split.
   */
  get presenceComplete(): boolean {
    return this.#rooms.presence.isComplete(this.name);
  }

  /**
   * Sends a message to all members, at the end of the turn and in the order of the calls.
   *
   * @param data - As for `Conn.send`. Bytes are copied once.
   * @returns Resolves when each member of this node has the message, or will get it in its turn, and when
   *   the backplane has it. The result is the position of the message in a room with history, else
   *   undefined.
   * @throws (rejects) {@link HubClosedError}, {@link OverflowError}; {@link BackplaneError} when
   *   the backplane refuses the message, or has not answered for 5 s. While the backplane is away,
   *   only a room with `delivery: 'through'` rejects. TypeError for invalid data or options; the
   *   error of `filter`. If no code awaits the rejection, the event `error` reports it, for refused
   *   messages at most once a second, and it is not reported as unhandled.
   */
  publish(
    data: MessageData | PreparedMessage,
    options: PublishOptions<Data> = {},
  ): Promise<Position | undefined> {
    return this.#rooms.publish(this.name, data, options);
  }

  /**
   * Sends `value` as a text message in JSON, as {@link publish} does.
   *
   * @throws (rejects) TypeError when `value` cannot be written as JSON: undefined, a function, a
   *   cycle, a BigInt. Nothing is sent then. Otherwise as {@link publish}.
   */
  publishJSON(value: unknown, options: PublishOptions<Data> = {}): Promise<Position | undefined> {
    return this.#rooms.publishJSON(this.name, value, options);
  }

  /**
   * Reads the history of the room: the first `limit` messages after `since`, or the last `limit`
   * messages without it.
   *
   * @returns `complete`: whether no message after `since` is missing; without `since`, no message at
   *   all. For a room without the option `history`, no messages and false. The event `error` reports
   *   the first such read.
   * @throws (rejects) TypeError, RangeError for invalid arguments; {@link BackplaneError}.
   */
  history(query: HistoryQuery = {}): Promise<{ messages: Kept[]; complete: boolean }> {
    return this.#rooms.reads.history(this.name, query);
  }
}

/** Names that a Room lacks, see {@link Habits}. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: `addHabits` adds them to the prototype
// oxlint-disable-next-line no-unused-vars -- as the class
export interface Room<Data = unknown, Info = JSONValue>
  extends Habits<typeof ROOM_HABITS>,
    Facts<typeof ROOM_FACTS> {}

/** Whether the prototype has its {@link Habits}. */
let hasHabits = false;
