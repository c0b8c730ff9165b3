import { portablePlatform } from '@ws/conn';
import { schedulerOf, TurnCallback } from '@ws/conn/internal';
import type { Hub } from '../hub.ts';
import type { PresenceChange, Present } from '../presence/room-presence.ts';
import { platformOf } from '../sessions/conn-calls.ts';
import type { Session } from '../sessions/session.ts';
import { eventText } from './room-text.ts';

/** Least time between two events of a room for a client, in ms. */
const INTERVAL_MS = 1_000;
/** Clients get the number only of more members, or of a longer list, in UTF-16 units. */
const MAX_SHOWN = 1_000;
const MAX_LENGTH = 262_144;
/** They get all again below this share of these bounds: a client alone does not cross both. */
const SHOWN_AGAIN = 0.9;
/** Lists that a room sends in an interval, in UTF-16 units. */
const MAX_LISTS = 16 * 1_048_576;
/** A shorter list is made for each turn. A longer one serves an interval. */
const SHORT = 16_384;

/** What the members of a room are told. */
interface MemberRoom<Data> {
  /** By the events of the hub: its live Map may have what no event will say. */
  readonly members: Map<string, Present>;
  /** The keys that have changed since the last change was sent. */
  readonly changed: Set<string>;
  /** The sessions that know the members, but for those that have changed. */
  readonly informed: Set<Session<Data>>;
  /** The sessions that need the list. */
  readonly lacking: Set<Session<Data>>;
  /** The sessions that got the list in this interval. */
  readonly recent: Set<Session<Data>>;
  /** The list of this interval; undefined before the first. */
  list: string | undefined;
  /** Length of the lists of this interval. */
  listed: number;
  /** The sessions get the number of the members only. */
  isCounted: boolean;
  /** What the last event has said. */
  isComplete: boolean;
  /** The interval has not ended. */
  isPaused: boolean;
}

/** Tells the members of a room who is in it: all of them once, then the changes. */
export class MemberEvents<Data> {
  readonly #hub: Hub<Data>;
  readonly #rooms = new Map<string, MemberRoom<Data>>();
  readonly #due = new Set<string>();
  readonly #turn = new TurnCallback(() => this.#endTurn());

  constructor(hub: Hub<Data>) {
    this.#hub = hub;
  }

  /** A session has joined: it gets all members. */
  joined(session: Session<Data>, name: string): void {
    if (!this.#hub.room(name).members.has(session)) return;
    this.#room(name).lacking.add(session);
    this.#due.add(name);
    // After the event of its own join, and once for all joins of the turn.
    schedulerOf(platformOf(session.conn)).endOfTurn.add(this.#turn);
  }

  left(session: Session<Data>, name: string): void {
    const room = this.#rooms.get(name);
    if (room === undefined) return;
    for (const sessions of [room.informed, room.lacking, room.recent]) sessions.delete(session);
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
    if (room === undefined) {
      room = {
        members: new Map(),
        changed: new Set(),
        informed: new Set(),
        lacking: new Set(),
        recent: new Set(),
        list: undefined,
        listed: 0,
        isCounted: false,
        isComplete: false,
        isPaused: false,
      };
      this.#rooms.set(name, room);
    }
    return room;
  }

  /** An event says all that the last member of this node leaves. */
  #removeIfUnused(name: string, room: MemberRoom<Data>): boolean {
    if (room.members.size > 0 || this.#hub.room(name).members.size > 0) return false;
    return this.#rooms.delete(name);
  }

  #endTurn(): void {
    const due = [...this.#due];
    this.#due.clear();
    for (const name of due) this.#run(name);
  }

  #run(name: string): void {
    const room = this.#rooms.get(name);
    if (room === undefined || this.#hub.closed) return;
    if (!room.isPaused) this.#sendChange(name, room);
    if (room.lacking.size > 0) this.#sendLists(name, room);
    // No event of the hub says that the other nodes have answered.
    const isIdle = room.isComplete && room.lacking.size === 0 && room.recent.size === 0;
    if (!isIdle) this.#pause(name, room);
  }

  /** Sends what has changed to the sessions that know the rest. */
  #sendChange(name: string, room: MemberRoom<Data>): void {
    const { presenceComplete } = this.#hub.room(name);
    if (room.changed.size === 0 && room.isComplete === presenceComplete) return;
    room.isComplete = presenceComplete;
    const keys = [...room.changed];
    room.changed.clear();
    room.list = undefined;
    this.#choose(room);
    if (room.informed.size > 0) {
      this.#hub.multiple(room.informed, this.#text(name, room, changeOf(room, keys)));
    }
    this.#pause(name, room);
  }

  /** Decides whether the sessions get all members. */
  #choose(room: MemberRoom<Data>): void {
    const share = room.isCounted ? SHOWN_AGAIN : 1;
    const isMany = room.members.size > MAX_SHOWN * share;
    const isCounted = isMany || listOf(room).length > MAX_LENGTH * share;
    // Of the number alone no list can be made.
    if (room.isCounted && !isCounted) {
      for (const session of room.informed) room.lacking.add(session);
      room.informed.clear();
    }
    room.isCounted = isCounted;
  }

  /** Sends all members to the sessions that need them, as many as an interval allows. */
  #sendLists(name: string, room: MemberRoom<Data>): void {
    if ((room.list?.length ?? 0) < SHORT) room.list = undefined;
    this.#choose(room);
    const sessions = new Set<Session<Data>>();
    for (const session of room.lacking) {
      if (room.recent.has(session)) continue;
      const { length } = room.isCounted ? '' : listOf(room);
      if (room.listed > 0 && room.listed + length > MAX_LISTS) break;
      room.listed += length;
      sessions.add(session);
    }
    if (sessions.size === 0) return;
    for (const session of sessions) {
      room.lacking.delete(session);
      room.informed.add(session);
      room.recent.add(session);
    }
    const members = room.isCounted ? '{}' : listOf(room);
    this.#hub.multiple(sessions, this.#text(name, room, `"members":${members}`));
  }

  #pause(name: string, room: MemberRoom<Data>): void {
    if (room.isPaused) return;
    room.isPaused = true;
    portablePlatform.setTimer(INTERVAL_MS, () => {
      room.isPaused = false;
      room.recent.clear();
      room.listed = 0;
      room.list = undefined;
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

/** The list of all members in JSON. */
function listOf<Data>(room: MemberRoom<Data>): string {
  room.list ??= JSON.stringify(Object.fromEntries(room.members));
  return room.list;
}

/** What the members are now that have changed, in JSON without braces. */
function changeOf<Data>({ members, isCounted }: MemberRoom<Data>, keys: readonly string[]): string {
  if (isCounted) return '"members":{}';
  const shown: [string, Present][] = [];
  const left: string[] = [];
  for (const key of keys) {
    const present = members.get(key);
    if (present === undefined) left.push(key);
    else shown.push([key, present]);
  }
  return `"shown":${JSON.stringify(Object.fromEntries(shown))},"left":${JSON.stringify(left)}`;
}
