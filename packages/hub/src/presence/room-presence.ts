/** A value that JSON can hold. */
export type JSONValue =
  | null
  | boolean
  | number
  | string
  | readonly JSONValue[]
  | { readonly [key: string]: JSONValue };

/** The type of `JSON.parse(JSON.stringify(value))` for a value of type `T`. */
type AfterJSON<T> = unknown extends T
  ? unknown
  : T extends JSONValue | ((...args: never[]) => unknown)
    ? T
    : T extends { toJSON(...args: never[]): infer J }
      ? AfterJSON<J>
      : { readonly [K in keyof T]: AfterJSON<T[K]> };

/** The `info` of each room; the type `never` without the option `presence`. */
type Shown<Infos> = {
  readonly [Key in keyof Infos]: unknown extends Infos[Key]
    ? never
    : Exclude<Infos[Key], undefined>;
};

/**
 * The type of `info`: {@link JSONValue} when the options have no narrower one.
 *
 * @typeParam Infos - The results of the option `presence`, by key of the option `rooms`.
 */
export type InfoOf<Infos> =
  Shown<Infos> extends { readonly [key: string]: infer I }
    ? [I] extends [never]
      ? JSONValue
      : AfterJSON<I> extends infer J extends JSONValue
        ? J
        : JSONValue
    : JSONValue;

/** A member of a room, on any node. All readers share this frozen object: do not change its `info`. */
export interface Present<Info = JSONValue> {
  /** Id of the node with the session. */
  readonly node: string;
  /** Id of the session. */
  readonly session: string;
  /** The value from the option `presence` or from `Session.show`. */
  readonly info: Info;
}

/** Members of a room. The key is `${node}/${session}`. */
export type Presences<Info = JSONValue> = ReadonlyMap<string, Present<Info>>;

/** The changes of a room since the last event `presence`. A member is in only one of the maps. */
export interface PresenceChange<Info = JSONValue> {
  readonly joined: Presences<Info>;
  readonly left: Presences<Info>;
  /** The members whose `info` has changed, with the new `info`. */
  readonly changed: Presences<Info>;
}

/** Stands for this node as the owner of members. The name of another node is never empty. */
export const OWN = '';

/** The members of a room, as this node knows them. The owner of a member is the name of its node. */
export class RoomPresence {
  /** The members that the application sees, by key. */
  readonly shown: Map<string, Present> = new Map();
  /** Members of this node beyond the bound, by session, in the order of their joins. */
  readonly waiting: Map<string, Present> = new Map();
  /** Bound of the members of all nodes together. */
  readonly maxMembers: number;
  /** Number of the sessions of this node in the room, shown or not. */
  sessions = 0;
  readonly #beforeChange: () => void;
  /** All members, by owner and by session. */
  readonly #owners = new Map<string, Map<string, Present>>();
  #size = 0;
  /** For each key that has changed since the last {@link takeChange}: its entry in `shown` before. */
  #before = new Map<string, Present | undefined>();

  /**
   * @param maxMembers - See {@link maxMembers}.
   * @param beforeChange - Called before each change of `shown`.
   */
  constructor(maxMembers: number, beforeChange: () => void) {
    this.maxMembers = maxMembers;
    this.#beforeChange = beforeChange;
  }

  get isFull(): boolean {
    return this.#size >= this.maxMembers;
  }

  /** The members of a node, by session. */
  membersOf(owner: string): ReadonlyMap<string, Present> {
    return this.#owners.get(owner) ?? new Map<string, Present>();
  }

  /** @returns False when the bound leaves the member out. */
  set(owner: string, present: Present): boolean {
    let members = this.#owners.get(owner);
    const old = members?.get(present.session);
    if (old === undefined) {
      if (this.isFull) return false;
      this.#size++;
    } else if (isSame(old, present)) return true;
    if (members === undefined) this.#owners.set(owner, (members = new Map()));
    members.set(present.session, Object.freeze(present));
    const key = keyOf(present);
    const shown = this.shown.get(key);
    // Two members may have the same key: node `a` and session `b/c`, node `a/b` and session `c`. All
    // nodes show the member with the smaller node.
    if (shown === undefined || shown === old || shown.node >= present.node)
      this.#show(key, present);
    return true;
  }

  delete(owner: string, session: string): void {
    const members = this.#owners.get(owner);
    const present = members?.get(session);
    if (present === undefined) return;
    this.#size--;
    members!.delete(session);
    if (members!.size === 0) this.#owners.delete(owner);
    const key = keyOf(present);
    if (this.shown.get(key) === present) this.#show(key, this.#findByKey(key));
  }

  /** Removes all members of a node. */
  deleteOwner(owner: string): void {
    for (const session of this.membersOf(owner).keys()) this.delete(owner, session);
  }

  clear(): void {
    this.waiting.clear();
    for (const owner of this.#owners.keys()) this.deleteOwner(owner);
  }

  /** Shows waiting members of this node while the room has a place. */
  fill(onShown: (present: Present) => void): void {
    for (const [session, present] of this.waiting) {
      if (!this.set(OWN, present)) return;
      this.waiting.delete(session);
      onShown(present);
    }
  }

  /** The changes since the last call; undefined without any. */
  takeChange(): PresenceChange | undefined {
    const before = this.#before;
    this.#before = new Map();
    const joined = new Map<string, Present>();
    const left = new Map<string, Present>();
    const changed = new Map<string, Present>();
    for (const [key, old] of before) {
      const now = this.shown.get(key);
      if (now === undefined) {
        if (old !== undefined) left.set(key, old);
      } else if (old === undefined) joined.set(key, now);
      else if (!isSame(old, now)) changed.set(key, now);
    }
    return joined.size + left.size + changed.size > 0 ? { joined, left, changed } : undefined;
  }

  #show(key: string, present: Present | undefined): void {
    this.#beforeChange();
    if (!this.#before.has(key)) this.#before.set(key, this.shown.get(key));
    if (present === undefined) this.shown.delete(key);
    else this.shown.set(key, present);
  }

  /** The member to show for a key. Of several, the member with the smallest `node`. */
  #findByKey(key: string): Present | undefined {
    let found: Present | undefined;
    for (const members of this.#owners.values()) {
      const [{ node }] = members.values() as Iterable<Present> as [Present];
      if (!key.startsWith(`${node}/`) || (found !== undefined && found.node < node)) continue;
      found = members.get(key.slice(node.length + 1)) ?? found;
    }
    return found;
  }
}

function keyOf({ node, session }: Present): string {
  return `${node}/${session}`;
}

function isSame(a: Present, b: Present): boolean {
  return a.node === b.node && JSON.stringify(a.info) === JSON.stringify(b.info);
}
