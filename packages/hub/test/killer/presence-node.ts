// The presence of a node of the killer: its members, and its report of all members.
import type { Hub } from '@ws/hub';
import type { Seen } from './presence-checker.ts';
import { NAMES } from './protocol.ts';

/** Follows the events of a hub. Returns a function that reports what the node knows. */
export function watchPresence(hub: Hub, run: string): () => Seen {
  const told = new Map<string, Set<string>>(NAMES.map((room) => [room, new Set()]));
  hub.on('presence', (room, { joined, left }) => {
    for (const key of left.keys()) told.get(room)!.delete(key);
    for (const key of joined.keys()) told.get(room)!.add(key);
  });
  return () => {
    const rooms = NAMES.filter((room) => hub.room(room).members.size > 0);
    const of = (keys: (room: string) => Iterable<string>): Seen['own'] =>
      Object.fromEntries(rooms.map((room) => [room, [...keys(room)]]));
    return {
      run,
      own: of((room) => Array.from(hub.room(room).members, ({ id }) => id)),
      known: of((room) => hub.room(room).presence.keys()),
      told: of((room) => told.get(room)!),
    };
  };
}
