import type { Backplane, Session } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { cleanName, people, said } from './protocol.ts';

const DAY_MS = 86_400_000;
/** Bytes of the longest request: the longest text with every character escaped. */
const MAX_REQUEST = 16 * 1024;
/** A room name from a client is untrusted: it becomes part of names in the hub and in Redis. */
const ROOM = /^chat\/[\p{L}\p{N}_-]{1,32}$/u;

/** What the others see of a session. Its page knows itself by `id`. */
type Person = { readonly id: string; readonly name: string };

/** The chat: rooms with a history that show who is in them, and a name for each session. */
export function createChat(backplane?: Backplane) {
  const rooms = serveRooms(
    {
      'chat/*': {
        schema: said,
        history: { size: 50, ttl: DAY_MS },
        mayJoin: (_: Session<Person>, room) => ROOM.test(room),
        mayPublish: true,
        stamp: (session) => session.data.name,
        presence: (session) => session.data,
        members: true,
      },
    },
    {
      hub: {
        backplane,
        // Each of 1,000 visitors may be in 5 rooms, so one visitor cannot use up the bound.
        maxRooms: 5_000,
        maxRoomsPerSession: 5,
        rate: { messages: 10, burst: 40 },
      },
      contract: people,
      handlers: {
        name(name, { session }) {
          session.data = { ...session.data, name };
          for (const room of session.rooms) session.show(room, session.data);
        },
      },
    },
  );
  rooms.hub.on('connect', (session, ctx) => {
    session.conn.setReadLimit(MAX_REQUEST);
    const name = cleanName(ctx?.query?.get('name') ?? '') || 'Guest';
    session.data = { id: ctx?.query?.get('id')?.slice(0, 36) ?? '', name };
  });
  return rooms;
}
