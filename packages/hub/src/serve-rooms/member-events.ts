import { portablePlatform } from '@ws/conn';
import type { Hub } from '../hub.ts';
import type { Presences, Present } from '../presence/room-presence.ts';
import type { Session } from '../sessions/session.ts';
import { eventText } from './room-text.ts';

/** Least time between two events of a room, in ms. */
const INTERVAL_MS = 1_000;
/** Above so many members, clients get their number only. */
const MAX_SHOWN = 1_000;

/** Tells the members of a room who is in it: all of them once, then the changes. */
export class MemberEvents<Data> {
  readonly #hub: Hub<Data>;
  /** The keys that have changed since the last event, of rooms that had one in the last second. */
  readonly #changed = new Map<string, Set<string>>();
  /** Rooms of which the clients have the number only. */
  readonly #counted = new Set<string>();
  /** Rooms whose clients know that members may be missing. */
  readonly #incomplete = new Set<string>();

  constructor(hub: Hub<Data>) {
    this.#hub = hub;
  }

  /** Sends all members to a session that has joined. */
  sendAll(session: Session<Data>, name: string): void {
    session.send(this.#text(name, this.#all(name)));
  }

  changed(name: string, keys: Iterable<string>): void {
    const waiting = this.#changed.get(name);
    if (waiting !== undefined) for (const key of keys) waiting.add(key);
    else this.#publish(name, new Set(keys));
  }

  #publish(name: string, keys: ReadonlySet<string>): void {
    const { members, presence } = this.#hub.room(name);
    const isCounted = presence.size > MAX_SHOWN;
    const hadNone = this.#counted.has(name);
    if (isCounted) this.#counted.add(name);
    else this.#counted.delete(name);
    if (members.size === 0) return;
    const change = isCounted ? {} : hadNone ? this.#all(name) : changeOf(presence, keys);
    this.#hub.multiple(members, this.#text(name, change));
    this.#changed.set(name, new Set());
    portablePlatform.setTimer(INTERVAL_MS, () => this.#publishWaiting(name));
  }

  #publishWaiting(name: string): void {
    const waiting = this.#changed.get(name)!;
    this.#changed.delete(name);
    if (waiting.size > 0 && !this.#hub.closed) this.#publish(name, waiting);
  }

  /** No event of the hub says that the other nodes have answered. */
  #look(name: string): void {
    this.#incomplete.delete(name);
    const { members, presenceComplete } = this.#hub.room(name);
    if (members.size === 0 || this.#hub.closed) return;
    if (presenceComplete && !this.#changed.has(name)) this.#publish(name, new Set());
    else this.#lookLater(name);
  }

  #lookLater(name: string): void {
    if (this.#incomplete.has(name)) return;
    this.#incomplete.add(name);
    portablePlatform.setTimer(INTERVAL_MS, () => this.#look(name));
  }

  #all(name: string): { members?: Record<string, Present> } {
    const { presence } = this.#hub.room(name);
    return presence.size > MAX_SHOWN ? {} : { members: Object.fromEntries(presence) };
  }

  #text(name: string, change: object): string {
    const { presence, presenceComplete } = this.#hub.room(name);
    if (!presenceComplete) this.#lookLater(name);
    const params = { room: name, count: presence.size, complete: presenceComplete, ...change };
    return eventText('room.members', JSON.stringify(params).slice(1, -1));
  }
}

/** What the members are now that have changed. */
function changeOf(
  presence: Presences,
  keys: ReadonlySet<string>,
): { shown: Record<string, Present>; left: string[] } {
  const shown: [string, Present][] = [];
  const left: string[] = [];
  for (const key of keys) {
    const present = presence.get(key);
    if (present === undefined) left.push(key);
    else shown.push([key, present]);
  }
  return { shown: Object.fromEntries(shown), left };
}
