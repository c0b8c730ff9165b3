// Nodes and members for the tests of presence.
import { connPair } from '@ws/conn';
import type { Hub, HubOptions, Presences, Session } from '@ws/hub';
import { onTestFinished } from 'vitest';

/** All rooms with a name that begins with r show the id of the session as `name`. */
export const SHOWN: HubOptions = { rooms: { 'r*': { presence: ({ id }) => ({ name: id }) } } };

/** A session that has joined rooms. It ends with the test: else its pings take the time of others. */
export function member(hub: Hub, id: string, ...rooms: string[]): Session {
  const [, server] = connPair();
  onTestFinished(() => server.terminate());
  const session = hub.add(server, { id });
  for (const room of rooms) void session.join(room);
  return session;
}

/** Who is in a room, sorted. */
export function keys(presences: Presences): string[] {
  return [...presences.keys()].toSorted();
}

/** Who is in the room `r`, sorted, and whether these are all. */
export function shown(hub: Hub): [string[], boolean] {
  const { presence, presenceComplete } = hub.room('r');
  return [keys(presence), presenceComplete];
}

/** The members of each room by the events of a hub alone. */
export function byEvents(hub: Hub): { rooms: Map<string, Map<string, unknown>>; calls: number } {
  const found = { rooms: new Map<string, Map<string, unknown>>(), calls: 0 };
  hub.on('presence', (room, { joined, left, changed }) => {
    found.calls++;
    const members = found.rooms.get(room) ?? new Map<string, unknown>();
    found.rooms.set(room, members);
    for (const key of left.keys()) if (!members.delete(key)) throw new Error(`${key} left twice`);
    for (const [key, { info }] of joined) {
      if (members.has(key)) throw new Error(`${key} joined twice`);
      members.set(key, info);
    }
    for (const [key, { info }] of changed) {
      if (!members.has(key)) throw new Error(`${key} has changed, and is not there`);
      members.set(key, info);
    }
    if (members.size === 0) found.rooms.delete(room);
  });
  return found;
}
