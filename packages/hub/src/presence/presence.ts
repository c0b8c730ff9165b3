import { schedulerOf, TurnCallback } from '@ws/conn/internal';
import { checkText, jsonOf } from '../arguments.ts';
import type { LocalHub } from '../backplane/local-hub.ts';
import type { PresenceLink } from './presence-link.ts';
import { type JSONValue, OWN, type Presences, RoomPresence } from './room-presence.ts';

/** Longest `info`, in bytes of JSON. */
const MAX_INFO_BYTES = 1_024;
/** Longest id of a session in a room with presence, in bytes. */
export const MAX_SESSION_BYTES = 1_024;

/** The members, on all nodes, of rooms with the option `presence` and a member of this node. */
export class Presence {
  readonly rooms: Map<string, RoomPresence> = new Map();
  readonly #hub: LocalHub;
  /** The rooms that have changed in this turn. */
  readonly #changedRooms = new Map<string, RoomPresence>();
  readonly #turn = new TurnCallback(() => this.#endTurn());

  constructor(hub: LocalHub) {
    this.#hub = hub;
  }

  get #link(): PresenceLink | undefined {
    return this.#hub.link?.others.presence;
  }

  of(room: string): Presences {
    return this.rooms.get(room)?.shown ?? new Map();
  }

  isComplete(room: string): boolean {
    const presence = this.rooms.get(room);
    if (presence === undefined || presence.waiting.size > 0) return false;
    return this.#hub.settings.backplane === undefined || this.#link?.isComplete(room) === true;
  }

  /**
   * A session has joined.
   *
   * @param info - What members see of the session, as JSON; undefined for a hidden session.
   */
  entered(session: string, room: string, info: string | undefined): void {
    let presence = this.rooms.get(room);
    if (presence === undefined) {
      const opened = new RoomPresence(this.#hub.settings.maxPresence, () =>
        this.#scheduleChange(room, opened),
      );
      presence = opened;
      this.rooms.set(room, opened);
    }
    presence.sessions++;
    if (presence.sessions === 1) this.#link?.opened(room);
    if (info !== undefined) this.#set(session, room, presence, info);
  }

  left(session: string, room: string): void {
    const presence = this.rooms.get(room)!;
    this.#hide(session, room, presence);
    presence.sessions--;
    if (presence.sessions > 0) return;
    this.#link?.closed(room);
    presence.clear();
    if (!this.#changedRooms.has(room)) this.rooms.delete(room);
  }

  show(session: string, room: string, info: unknown): void {
    const presence = this.rooms.get(room);
    if (presence === undefined) {
      throw new TypeError(`session.show: the room ${JSON.stringify(room)} has no option presence`);
    }
    const text = infoText('session.show', info);
    if (text === undefined) this.#hide(session, room, presence);
    else this.#set(session, room, presence, text);
  }

  #set(session: string, room: string, presence: RoomPresence, info: string): void {
    const present = {
      node: this.#hub.settings.id,
      session,
      info: JSON.parse(info) as JSONValue,
    };
    if (!presence.set(OWN, present)) {
      presence.waiting.set(session, present);
      return;
    }
    presence.waiting.delete(session);
    this.#link?.changed(room, session);
  }

  #hide(session: string, room: string, presence: RoomPresence): void {
    presence.waiting.delete(session);
    presence.delete(OWN, session);
    this.#link?.changed(room, session);
  }

  #scheduleChange(room: string, presence: RoomPresence): void {
    this.#changedRooms.set(room, presence);
    schedulerOf(this.#hub.platform).endOfTurn.add(this.#turn);
  }

  #endTurn(): void {
    const rooms = [...this.#changedRooms];
    this.#changedRooms.clear();
    for (const [room, presence] of rooms) {
      presence.fill(({ session }) => this.#link?.changed(room, session));
      const change = presence.takeChange();
      if (presence.sessions === 0 && !this.#changedRooms.has(room)) this.rooms.delete(room);
      if (change !== undefined) this.#hub.presenceChanged(room, change);
    }
  }
}

/**
 * Checks the `info` of a session.
 *
 * @returns JSON; undefined for undefined.
 * @throws TypeError for a promise, and for a value that JSON lacks, such as a Map; RangeError for JSON
 *   above 1 KiB.
 */
export function infoText(owner: string, info: unknown): string | undefined {
  if (info === undefined) return undefined;
  const text = jsonOf(info, owner);
  checkText(owner, text, 1, MAX_INFO_BYTES);
  return text;
}
