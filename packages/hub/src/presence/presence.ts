import { schedulerOf, TurnCallback } from '@ws/conn/internal';
import { checkText, jsonOf } from '../arguments.ts';
import { RoomRefusedError, SessionClosedError } from '../errors.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { PresenceLink } from './presence-link.ts';
import { type JSONValue, OWN, type Presences, RoomPresence } from './room-presence.ts';

/** Longest `info`, in bytes of JSON. */
const MAX_INFO_BYTES = 1_024;
/** Longest id of a session that is shown, in bytes. */
export const MAX_SESSION_BYTES = 1_024;

/** Who is in the rooms with the option `presence`, of which this node has a member. */
export class Presence<Data> {
  readonly rooms: Map<string, RoomPresence> = new Map();
  readonly #hub: Sessions<Data>;
  /** The rooms that have changed in this turn. */
  readonly #changed = new Map<string, RoomPresence>();
  readonly #turn = new TurnCallback(() => this.#endTurn());

  constructor(hub: Sessions<Data>) {
    this.#hub = hub;
  }

  get #link(): PresenceLink<Data> | undefined {
    return this.#hub.link?.others.presence;
  }

  /** See `Room.presence`. */
  of(room: string): Presences {
    return this.rooms.get(room)?.shown ?? new Map();
  }

  /** See `Room.presenceComplete`. */
  isComplete(room: string): boolean {
    const presence = this.rooms.get(room);
    if (presence === undefined || presence.waiting.size > 0) return false;
    return this.#hub.settings.backplane === undefined || this.#link?.isComplete(room) === true;
  }

  /**
   * Asks the option `presence` what to show of a session that will enter.
   *
   * @param presence - The option.
   * @returns JSON; undefined for a session that is not shown.
   * @throws {@link RoomRefusedError} when the option throws; TypeError or RangeError for its result;
   *   {@link SessionClosedError}
   */
  ask(
    session: Session<Data>,
    room: string,
    presence: (session: Session<Data>) => unknown,
  ): string | undefined {
    checkText('session.id', session.id, 0, MAX_SESSION_BYTES);
    let info: unknown;
    try {
      info = this.#hub.rooms.joins.decide(() => presence(session));
    } catch (cause) {
      const refusal = new RoomRefusedError(room, 'presence threw', { cause });
      this.#hub.joinFailed(session, refusal, cause);
      throw refusal;
    }
    const text = textOf('presence', info);
    if (session.state === 'closed') throw new SessionClosedError('session.join');
    return text;
  }

  /** A session is a member, and is shown with this JSON. */
  entered(session: Session<Data>, room: string, info: string | undefined): void {
    let presence = this.rooms.get(room);
    if (presence === undefined) {
      const opened = new RoomPresence(this.#hub.settings.maxPresence, () =>
        this.#changes(room, opened),
      );
      presence = opened;
      this.rooms.set(room, opened);
    }
    if (this.#hub.rooms.membersOf(room).size === 1) this.#link?.opened(room);
    if (info !== undefined) this.#set(session, room, presence, info);
  }

  /** A session is no member any more. */
  left(session: Session<Data>, room: string): void {
    const presence = this.rooms.get(room);
    if (presence === undefined) return;
    this.#hide(session, room, presence);
    if (this.#hub.rooms.membersOf(room).size > 0) return;
    this.#link?.closed(room);
    presence.clear();
    if (!this.#changed.has(room)) this.rooms.delete(room);
  }

  /** See `Session.show`. */
  show(session: Session<Data>, room: string, info: unknown): void {
    this.#hub.rooms.room(room);
    if (!session.isIn(room)) throw new RoomRefusedError(room, 'the session is not a member');
    const presence = this.rooms.get(room);
    if (presence === undefined) {
      throw new TypeError(`session.show: the room ${JSON.stringify(room)} has no option presence`);
    }
    const text = textOf('session.show', info);
    if (text === undefined) this.#hide(session, room, presence);
    else this.#set(session, room, presence, text);
  }

  #set({ id }: Session<Data>, room: string, presence: RoomPresence, info: string): void {
    const present = {
      node: this.#hub.settings.id,
      session: id,
      info: JSON.parse(info) as JSONValue,
    };
    if (!presence.set(OWN, present)) {
      presence.waiting.set(id, present);
      return;
    }
    presence.waiting.delete(id);
    this.#link?.changed(room, id);
  }

  #hide({ id }: Session<Data>, room: string, presence: RoomPresence): void {
    presence.waiting.delete(id);
    presence.delete(OWN, id);
    this.#link?.changed(room, id);
  }

  #changes(room: string, presence: RoomPresence): void {
    this.#changed.set(room, presence);
    schedulerOf(this.#hub.platform).endOfTurn.add(this.#turn);
  }

  #endTurn(): void {
    const rooms = [...this.#changed];
    this.#changed.clear();
    for (const [room, presence] of rooms) {
      presence.fill(({ session }) => this.#link?.changed(room, session));
      const change = presence.takeChange();
      if (this.#hub.rooms.membersOf(room).size === 0 && !this.#changed.has(room)) {
        this.rooms.delete(room);
      }
      if (change !== undefined) this.#hub.emit('presence', undefined, room, change);
    }
  }
}

/**
 * @returns JSON; undefined for undefined.
 * @throws TypeError for a promise, and for what JSON cannot hold, such as a Map; RangeError for a long
 *   text.
 */
function textOf(owner: string, info: unknown): string | undefined {
  if (info === undefined) return undefined;
  const text = jsonOf(info, owner);
  checkText(owner, text, 1, MAX_INFO_BYTES);
  return text;
}
