// Compares who is there, as each node of the killer knows it, with the members that each node has.

/** The rooms of a node: its own members, and all members that it knows, by room. */
export interface Seen {
  readonly run: string;
  /** Ids of the sessions of this node. */
  readonly own: Readonly<Record<string, readonly string[]>>;
  /** Keys of `room.presence`. */
  readonly known: Readonly<Record<string, readonly string[]>>;
  /** Keys by the events of the node alone. */
  readonly told: Readonly<Record<string, readonly string[]>>;
}

/** The members that a node knows and that are not there, and those that it does not know. */
export interface Differences {
  readonly ghosts: string[];
  readonly missing: string[];
  /** Members by the events, which differ from `room.presence`. */
  readonly untold: string[];
}

/** A node knows the rooms of which it has a member. */
export function checkPresence(nodes: readonly Seen[]): Differences {
  const all = new Map<string, Set<string>>();
  for (const { run, own } of nodes) {
    for (const [room, sessions] of Object.entries(own)) {
      const members = all.get(room) ?? new Set();
      all.set(room, members);
      for (const session of sessions) members.add(`${run}/${session}`);
    }
  }
  const found: Differences = { ghosts: [], missing: [], untold: [] };
  for (const { run, own, known, told } of nodes) {
    for (const room of Object.keys(own)) {
      const members = all.get(room)!;
      const seen = new Set(known[room]);
      const heard = new Set(told[room]);
      const name = (key: string): string => `${run} ${room}: ${key}`;
      for (const key of seen) if (!members.has(key)) found.ghosts.push(name(key));
      for (const key of members) if (!seen.has(key)) found.missing.push(name(key));
      for (const key of new Set([...seen, ...heard])) {
        if (seen.has(key) !== heard.has(key)) found.untold.push(name(key));
      }
    }
  }
  return found;
}
