import { type RoomTable, serveRooms } from '@ws/hub/rooms';
import { serve } from '@ws/node-server';
import { contract, method, stream } from '@ws/rpc';
import { z } from 'zod';

/** A server with the rooms and methods of the README. */
export async function startTableServer() {
  const open = { mayJoin: true, mayPublish: true } as const;
  const history = true;
  const table: RoomTable<undefined> = {
    'log/*': { ...open, history },
    'short/*': { ...open, history: { size: 4 } },
    'plain/*': open,
    'state/*': { ...open, history, state: (room) => ({ room }) },
    'members/*': { ...open, history, members: true, presence: () => ({ name: 'ann' }) },
    'read/*': { mayJoin: true, history },
    'closed/*': { mayJoin: false },
  };
  const calls = contract({
    version: 3,
    accepts: [2, 3],
    server: {
      echo: method(z.object({ text: z.string() }), z.object({ text: z.string() })),
      fail: method(z.unknown(), z.unknown()),
      wait: method(z.unknown(), z.unknown()),
      count: stream(z.object({ to: z.number() }), z.number()),
    },
  });
  const rooms = serveRooms(table, {
    contract: calls,
    handlers: {
      echo: (input) => input,
      fail: () => {
        throw new Error('a secret');
      },
      wait: (_, { signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve)),
      async *count({ to }) {
        for (let n = 1; n <= to; n++) yield n;
      },
    },
  });
  rooms.hub.on('error', () => {});
  return { server: await serve({ port: 0 }, rooms.handler), hub: rooms.hub };
}
