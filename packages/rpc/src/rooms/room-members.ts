import type { RoomMember, WireMembers } from './room-contract.ts';

/** The members of a room, on all nodes. The key is `${node}/${session}`. */
export interface RoomMembers<Info = unknown> extends ReadonlyMap<string, RoomMember<Info>> {
  /** Number of members. Above 1,000 members, or 256 KiB of JSON, the map is empty. */
  readonly count: number;
  /** False while a node of the server has not answered, and without a connection. */
  readonly complete: boolean;
}

/** The changes of the members of a room. */
export interface MembersChange {
  readonly joined: ReadonlyMap<string, RoomMember>;
  readonly left: ReadonlyMap<string, RoomMember>;
  readonly changed: ReadonlyMap<string, RoomMember>;
}

/** The members of one room, as the client knows them. Each change creates another map. */
export class KnownMembers extends Map<string, RoomMember> implements RoomMembers {
  count = 0;
  complete = false;

  /** The members after an event. */
  after({ count, complete, members, shown = {}, left = [] }: WireMembers): KnownMembers {
    const next = new KnownMembers(members === undefined ? this : []);
    for (const [key, member] of Object.entries(members ?? shown)) next.set(key, member);
    for (const key of left) next.delete(key);
    next.count = count;
    next.complete = complete;
    return next;
  }

  /** The same members, marked as not complete. */
  incomplete(): KnownMembers {
    return this.after({ room: '', count: this.count, complete: false });
  }

  /** The changes since `before`. */
  since(before: KnownMembers): MembersChange {
    const joined = new Map<string, RoomMember>();
    const left = new Map<string, RoomMember>();
    const changed = new Map<string, RoomMember>();
    for (const [key, member] of this) {
      const known = before.get(key);
      if (known === undefined) joined.set(key, member);
      else if (JSON.stringify(known.info) !== JSON.stringify(member.info)) changed.set(key, member);
    }
    for (const [key, member] of before) if (!this.has(key)) left.set(key, member);
    return { joined, left, changed };
  }
}
