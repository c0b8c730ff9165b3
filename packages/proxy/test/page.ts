import { once } from 'node:events';
import { createServer } from 'node:http';
import { whenOver } from '@ws/tests';
import { expect } from 'vitest';
import { WebSocketServer } from 'ws';

/** Starts an echo server of ws with compression. */
export async function wsEcho(): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true });
  await once(server, 'listening');
  whenOver(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  return `ws://127.0.0.1:${(server.address() as { port: number }).port}`;
}

/** A page's visit: opens, echoes a long text, closes; resolves with what it saw. */
export const visit = (url: string): string => `new Promise((resolve) => {
  const socket = new WebSocket(${JSON.stringify(url)});
  const seen = [];
  socket.onopen = () => socket.send('é'.repeat(70000));
  socket.onmessage = ({ data }) => { seen.push(data.length); socket.close(4001, 'done'); };
  socket.onclose = ({ code, wasClean }) => resolve([...seen, code, wasClean, socket.extensions]);
})`;

/** What a visit sees. */
export const SEEN: readonly unknown[] = [
  70_000,
  4001,
  true,
  expect.stringContaining('permessage-deflate'),
];

/** A page of an own origin, for browsers. */
export async function page(): Promise<string> {
  const server = createServer((_req, res) => res.end('<!doctype html>')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}
