import { schedulerOf, TurnCallback } from '@ws/conn/internal';
import type { BackplaneLink } from '../backplane/backplane-link.ts';
import { inParts, type Shown } from '../backplane/words.ts';
import type { LiveNode } from '../everywhere/nodes.ts';
import type { Presence } from './presence.ts';
import { OWN, type Present } from './room-presence.ts';

/**
 * Bound of the texts of sessions in a word, in UTF-16 units. JSON may escape a unit with 6 bytes.
 */
const MAX_LENGTH = 40_960;
/** Number of beats that repeat a version. A beat comes each 5 s, so for a minute. */
const REPEATS = 12;
/** Bound of the rooms without members that repeat their version. */
const MAX_CLOSED = 100_000;
/** Bound of the speed of states, in members per ms. More would occupy the node. */
const MEMBERS_PER_MS = 10;
/** Ms until the next attempt to send states that are not due yet. */
const STATES_MS = 100;
/** Bound of the words that wait for the engine at a time. */
const BATCH = 100;

const NONE: ReadonlyMap<string, Present> = /* @__PURE__ */ new Map();

/** A room in which this node shows members, or has shown some in the last minute. */
interface OwnRoom {
  /** Version of the last word about the room; 0 before the first word. */
  version: number;
  /** Number of members at that version. */
  size: number;
  /** Number of beats that will repeat the version. */
  repeats: number;
  /** When the next state may be sent, in ms of the platform's clock; -Infinity before the first. */
  nextStateAt: number;
}

/**
 * Sends the members of this node to the other nodes: each change of a room as a word `change`, all
 * members of a room as a `state` for nodes that ask. One state answers all of them.
 */
export class OwnMembers {
  readonly #link: BackplaneLink;
  readonly #presence: Presence;
  readonly #rooms = new Map<string, OwnRoom>();
  /** The last version of any room. */
  #version = 0;
  /** The sessions that have come, changed or left in this turn, by room. */
  #changedSessions = new Map<string, Set<string>>();
  readonly #turn = new TurnCallback(() => this.#sendChanges());
  /** The rooms of which other nodes need the state. */
  readonly #states = new Set<string>();
  #cancelStates: (() => void) | undefined;
  #isSendingStates = false;
  #isSendingVersions = false;
  #stopped = false;

  constructor(link: BackplaneLink, presence: Presence) {
    this.#link = link;
    this.#presence = presence;
  }

  /** Shows the other nodes all members of a room. */
  addAll(room: string): void {
    for (const session of this.#membersOf(room).keys()) this.changed(room, session);
  }

  changed(room: string, session: string): void {
    let sessions = this.#changedSessions.get(room);
    if (sessions === undefined) this.#changedSessions.set(room, (sessions = new Set()));
    sessions.add(session);
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelStates?.();
  }

  #schedule(): void {
    schedulerOf(this.#link.platform).endOfTurn.add(this.#turn);
  }

  #sendChanges(): void {
    const changed = this.#changedSessions;
    this.#changedSessions = new Map();
    for (const [room, sessions] of changed) this.#sendChange(room, sessions);
    void this.#sendStates();
  }

  #sendChange(room: string, sessions: ReadonlySet<string>): void {
    const members = this.#membersOf(room);
    const off = [...sessions].filter((session) => !members.has(session));
    const on: Shown[] = [];
    for (const session of sessions) {
      const present = members.get(session);
      if (present !== undefined) on.push([session, JSON.stringify(present.info)]);
    }
    const known = this.#rooms.get(room);
    // A session that leaves in the turn of its join was never shown.
    if (known === undefined && on.length === 0) return;
    const own = known ?? { version: 0, size: 0, repeats: 0, nextStateAt: -Infinity };
    own.size = members.size;
    for (const part of inParts(
      [...off.map((session) => [session] as const), ...on],
      lengthOf,
      MAX_LENGTH,
    )) {
      const from = own.version;
      own.version = ++this.#version;
      void this.#link.say(room, {
        word: 'change',
        from,
        version: own.version,
        on: part.filter((each): each is Shown => each.length === 2),
        off: part.filter((each) => each.length === 1).map(([session]) => session),
        size: own.size,
      });
    }
    own.repeats = REPEATS;
    // Moves the room to the end of the Map.
    this.#rooms.delete(room);
    this.#rooms.set(room, own);
    if (this.#rooms.size > this.#presence.rooms.size + MAX_CLOSED) this.#forgetFirst();
  }

  /** Forgets the room without members that changed first. */
  #forgetFirst(): void {
    for (const room of this.#rooms.keys()) {
      if (this.#membersOf(room).size > 0) continue;
      this.#rooms.delete(room);
      return;
    }
  }

  #membersOf(room: string): ReadonlyMap<string, Present> {
    return this.#presence.rooms.get(room)?.membersOf(OWN) ?? NONE;
  }

  /** Repeats the versions of rooms that have changed in the last minute. */
  async sendVersions(): Promise<void> {
    // During an outage the words would be lost.
    if (this.#isSendingVersions || this.#link.state !== 'up') return;
    this.#isSendingVersions = true;
    let batch: Promise<unknown>[] = [];
    for (const [room, own] of this.#rooms) {
      if (own.repeats > 0) {
        own.repeats--;
        batch.push(this.#link.say(room, { word: 'version', version: own.version, size: own.size }));
      } else if (this.#membersOf(room).size === 0) this.#rooms.delete(room);
      if (batch.length < BATCH) continue;
      await Promise.all(batch);
      batch = [];
    }
    await Promise.all(batch);
    this.#isSendingVersions = false;
  }

  /** Answers a node that needs the versions of rooms and, with `full`, their members. */
  answer(node: LiveNode, full: boolean, rooms: readonly string[]): void {
    const versions = rooms.map((room) => [room, this.#rooms.get(room)?.version ?? 0] as const);
    void this.#link.say(undefined, {
      word: 'have',
      to: node.name,
      at: this.#version,
      full,
      rooms: versions,
    });
    if (!full) return;
    for (const [room, version] of versions) if (version > 0) this.#states.add(room);
    this.#schedule();
  }

  /** Sends the states that are due, one room after the other. */
  async #sendStates(): Promise<void> {
    if (this.#isSendingStates || this.#stopped) return;
    this.#isSendingStates = true;
    const now = this.#link.platform.now();
    for (const room of this.#states) {
      const own = this.#rooms.get(room);
      if (own !== undefined && now < own.nextStateAt) continue;
      this.#states.delete(room);
      if (own === undefined) continue;
      own.nextStateAt = now + Math.floor(own.size / MEMBERS_PER_MS);
      await Promise.all(this.#sendState(room, own));
    }
    this.#isSendingStates = false;
    if (this.#states.size === 0 || this.#cancelStates !== undefined) return;
    this.#cancelStates = this.#link.platform.setTimer(STATES_MS, () => {
      this.#cancelStates = undefined;
      void this.#sendStates();
    });
  }

  /** Sends all parts in one turn, so that no change comes between two parts. */
  #sendState(room: string, { version }: OwnRoom): Promise<unknown>[] {
    const on = Array.from(
      this.#membersOf(room).values(),
      ({ session, info }): Shown => [session, JSON.stringify(info)],
    );
    const parts = inParts(on, lengthOf, MAX_LENGTH);
    if (parts.length === 0) parts.push([]);
    return parts.map((each, part) =>
      this.#link.say(room, { word: 'state', version, part, parts: parts.length, on: each }),
    );
  }
}

function lengthOf(texts: readonly string[]): number {
  return texts.reduce((sum, { length }) => sum + length + 4, 0);
}
