import { portablePlatform } from '@ws/conn';
import { schedulerOf, TurnCallback } from '@ws/conn/internal';
import { OverflowError } from '../errors.ts';
import type { Hub } from '../hub.ts';
import type { PresenceChange, Present } from '../presence/room-presence.ts';
import { platformOf } from '../sessions/conn-calls.ts';
import type { Session } from '../sessions/session.ts';
import { eventText } from './room-text.ts';

/** Least time between two events of a room for a client, in ms. */
const INTERVAL_MS = 1_000;
/** Above one of these bounds, clients get only the number of the members. */
const MAX_SHOWN = 1_000;
/** In UTF-16 units of the list. */
const MAX_LENGTH = 262_144;
/**
 * Clients get the list again below this share of both bounds. The two limits differ, so that not each
 * join and leave switches between list and number.
 */
const SHOWN_AGAIN = 0.9;
/** Bound of the lists that a room sends in an interval, in UTF-16 units. */
const MAX_LISTS = 16 * 1_048_576;
/** A list below this many UTF-16 units is created again in each turn, a longer one once in an interval. */
const SHORT = 16_384;

/** A room whose clients get its members. */
class MemberRoom<Data> {
  /** The members by the events of the hub. The hub's own Map may be ahead of the events. */
  readonly members: Map<string, Present> = new Map();
  /** The keys that have changed since the last change was sent. */
  readonly changed: Set<string> = new Set();
  /** The sessions that know all members except the changed ones. */
  readonly informed: Set<Session<Data>> = new Set();
  /** The sessions that need the list. */
  readonly lacking: Set<Session<Data>> = new Set();
  /** The sessions that got the list in this interval, even if they have left. */
  readonly recent: Set<Session<Data>> = new Set();
  /** Length of the lists that were sent in this interval. */
  listedLength = 0;
  /** Whether the sessions get only the number of the members. */
  isNumberOnly = false;
  /** `complete` of the last event. */
  isComplete = false;
  /** Whether the next change waits for the end of the interval. */
  isPaused = false;
  #list: string | undefined;

  /** All members in JSON, as they were at the first use after {@link forgetList}. */
  get list(): string {
    this.#list ??= JSON.stringify(Object.fromEntries(this.members));
    return this.#list;
  }

  /** Drops the list, unless it has at least `length` UTF-16 units. */
  forgetList(length = Infinity): void {
    if ((this.#list?.length ?? 0) < length) this.#list = undefined;
  }

  /** Makes the informed sessions need the list again. */
  needList(): void {
    for (const session of this.informed) this.lacking.add(session);
    this.informed.clear();
  }

  /** The changes of the members `keys`, in JSON without braces. */
  changeOf(keys: readonly string[]): string {
    if (this.isNumberOnly) return '"members":{}';
    const shown: [string, Present][] = [];
    const left: string[] = [];
    for (const key of keys) {
      const present = this.members.get(key);
      if (present === undefined) left.push(key);
      else shown.push([key, present]);
    }
    return `"shown":${JSON.stringify(Object.fromEntries(shown))},"left":${JSON.stringify(left)}`;
  }
}

/**
 * Sends clients the members of their rooms: first the list of all members, then changes. A room with
 * too many members sends their number only.
 */
export class MemberEvents<Data> {
  readonly #hub: Hub<Data>;
  readonly #rooms = new Map<string, MemberRoom<Data>>();
  /** The rooms with joins in this turn. */
  readonly #due = new Set<string>();
  readonly #turn = new TurnCallback(() => this.#endTurn());
  /** Bound of the lists that a client gets in an interval, in UTF-16 units. One list may be longer. */
  readonly #maxListed: number;
  /** Length of the lists that each session got in this interval, in all rooms. */
  readonly #listedLengths = new Map<Session<Data>, number>();

  /** @param maxQueuedBytes - Option of the hub. Lists of many rooms must not exceed it. */
  constructor(hub: Hub<Data>, maxQueuedBytes: number) {
    this.#hub = hub;
    // A UTF-16 unit has up to 3 bytes in UTF-8. The rest is for other messages.
    this.#maxListed = maxQueuedBytes / 4;
  }

  /** A session has joined. It gets all members. */
  joined(session: Session<Data>, name: string): void {
    if (!this.#hub.room(name).members.has(session)) return;
    this.#room(name).lacking.add(session);
    this.#due.add(name);
    // Waits for the presence event of the join, and for other joins of the turn.
    schedulerOf(platformOf(session.conn)).endOfTurn.add(this.#turn);
  }

  left(session: Session<Data>, name: string): void {
    const room = this.#rooms.get(name);
    if (room === undefined) return;
    room.informed.delete(session);
    room.lacking.delete(session);
    this.#removeIfUnused(name, room);
  }

  changed(name: string, { joined, left, changed }: PresenceChange): void {
    const room = this.#room(name);
    for (const each of [joined, changed]) {
      for (const [key, present] of each) room.members.set(key, present);
    }
    for (const key of left.keys()) room.members.delete(key);
    for (const each of [joined, changed, left])
      for (const key of each.keys()) room.changed.add(key);
    if (!this.#removeIfUnused(name, room)) this.#run(name);
  }

  #room(name: string): MemberRoom<Data> {
    let room = this.#rooms.get(name);
    if (room === undefined) this.#rooms.set(name, (room = new MemberRoom()));
    return room;
  }

  /** Forgets a room without members. After this node's last member leaves, an event empties `members`. */
  #removeIfUnused(name: string, room: MemberRoom<Data>): boolean {
    if (room.members.size > 0 || this.#hub.room(name).members.size > 0) return false;
    return this.#rooms.delete(name);
  }

  #endTurn(): void {
    const due = [...this.#due];
    this.#due.clear();
    for (const name of due) this.#run(name);
  }

  /** Sends what is due in a room. Called after events, at the end of a turn, and after each interval. */
  #run(name: string): void {
    const room = this.#rooms.get(name);
    if (room === undefined || this.#hub.closed) return;
    if (!room.isPaused) this.#sendChange(name, room);
    if (room.lacking.size > 0) this.#sendLists(name, room);
    // No event of the hub reports that `presenceComplete` has become true, so check again until then.
    const isIdle = room.isComplete && room.lacking.size === 0 && room.recent.size === 0;
    if (!isIdle) this.#pause(name, room);
  }

  /** Sends the changed members to the informed sessions. */
  #sendChange(name: string, room: MemberRoom<Data>): void {
    const { presenceComplete } = this.#hub.room(name);
    if (room.changed.size === 0 && room.isComplete === presenceComplete) return;
    room.isComplete = presenceComplete;
    const keys = [...room.changed];
    room.changed.clear();
    room.forgetList();
    this.#chooseForm(room);
    if (room.informed.size > 0) {
      const change = room.changeOf(keys);
      const isLong = change.length > MAX_LENGTH;
      if (isLong || !this.#send(room.informed, this.#text(name, room, change))) room.needList();
    }
    this.#pause(name, room);
  }

  /** Decides whether the sessions get all members or only their number. */
  #chooseForm(room: MemberRoom<Data>): void {
    const share = room.isNumberOnly ? SHOWN_AGAIN : 1;
    const isMany = room.members.size > MAX_SHOWN * share;
    const isNumberOnly = isMany || room.list.length > MAX_LENGTH * share;
    // The informed sessions know only the number.
    if (room.isNumberOnly && !isNumberOnly) room.needList();
    room.isNumberOnly = isNumberOnly;
  }

  /** Sends the list to the sessions that need it, within the bounds of the interval. */
  #sendLists(name: string, room: MemberRoom<Data>): void {
    room.forgetList(SHORT);
    this.#chooseForm(room);
    const sessions = new Set<Session<Data>>();
    for (const session of room.lacking) {
      if (room.recent.has(session)) continue;
      const { length } = room.isNumberOnly ? '' : room.list;
      if (room.listedLength > 0 && room.listedLength + length > MAX_LISTS) break;
      if (!this.#mayList(session, length)) continue;
      room.listedLength += length;
      sessions.add(session);
    }
    const members = room.isNumberOnly ? '{}' : room.list;
    if (sessions.size === 0) return;
    if (!this.#send(sessions, this.#text(name, room, `"members":${members}`))) return;
    for (const session of sessions) {
      room.lacking.delete(session);
      room.informed.add(session);
      room.recent.add(session);
    }
  }

  /** Whether a session may get a list now. If so, counts the list. */
  #mayList(session: Session<Data>, length: number): boolean {
    // The client has not read its earlier messages.
    if (session.untilWritable() !== undefined) return false;
    const listed = this.#listedLengths.get(session) ?? 0;
    if (listed > 0 && listed + length > this.#maxListed) return false;
    if (this.#listedLengths.size === 0) {
      portablePlatform.setTimer(INTERVAL_MS, () => this.#listedLengths.clear());
    }
    this.#listedLengths.set(session, listed + length);
    return true;
  }

  /** Returns false when too many messages wait in the hub. The next interval then tries again. */
  #send(sessions: ReadonlySet<Session<Data>>, text: string): boolean {
    try {
      this.#hub.multiple(sessions, text);
      return true;
    } catch (error) {
      if (error instanceof OverflowError) return false;
      throw error;
    }
  }

  #pause(name: string, room: MemberRoom<Data>): void {
    if (room.isPaused) return;
    room.isPaused = true;
    portablePlatform.setTimer(INTERVAL_MS, () => {
      room.isPaused = false;
      room.recent.clear();
      room.listedLength = 0;
      room.forgetList();
      this.#run(name);
    });
  }

  #text(name: string, { members, isComplete }: MemberRoom<Data>, change: string): string {
    const room = JSON.stringify(name);
    return eventText(
      'room.members',
      `"room":${room},"count":${members.size},"complete":${isComplete},${change}`,
    );
  }
}
