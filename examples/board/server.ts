// A board of notes. The server stores a change, then publishes it with the version of the board.
import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import process from 'node:process';
import { serveRooms } from '@ws/hub/rooms';
import { serve } from '@ws/node-server';
import { RpcError } from '@ws/rpc';
import { build } from 'esbuild';
import { notes as contract } from './client.ts';

/** The database: 150 notes, whose JSON is below the 1 MiB of a state, and the number of their changes. */
const notes = new Map<string, string>();
let version = 0;
async function change(id: string, text?: string): Promise<null> {
  if (text === undefined) notes.delete(id);
  else if (notes.size < 150 || notes.has(id)) notes.set(id, text);
  else throw new RpcError(1, 'the board is full');
  await rooms.hub.room('board').publishJSON({ version: ++version, id, text });
  return null;
}
const rooms = serveRooms(
  { board: { history: true, mayJoin: true, state: async () => ({ version, notes: [...notes] }) } },
  {
    contract,
    handlers: { set: ({ id, text }) => change(id, text), remove: (id) => change(id) },
  },
);
const html = readFileSync(new URL('page.html', import.meta.url));
const from = { entryPoints: [`${import.meta.dirname}/client.ts`], conditions: ['@ws/source'] };
const { outputFiles } = await build({ ...from, bundle: true, format: 'esm', write: false });
const request: RequestListener = ({ url }, response) => {
  const isClient = url === '/client.js';
  response.setHeader('Content-Type', isClient ? 'text/javascript' : 'text/html');
  response.end(isClient ? outputFiles[0]!.contents : html);
};
const port = Number(process.env['PORT'] ?? 8080);
const server = await serve({ port, host: '127.0.0.1', request }, rooms.handler);
const end = (): void => void rooms.hub.close().then(() => server.close());
process.on('SIGINT', end).on('SIGTERM', end);
console.log(server.url.replace('ws', 'http'));
