// A WebSocket on the port of Vite's dev server, beside its hot reload.
import type { Server } from 'node:http';
import process from 'node:process';
import { serve } from '@ws/node-server';
import { createServer } from 'vite';

const vite = await createServer({
  root: import.meta.dirname,
  clearScreen: false,
  server: { port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1' },
});
await serve(
  // Leave all other paths to Vite: its hot reload is a WebSocket of this server.
  { server: vite.httpServer as Server, unmatched: 'leave' },
  { '/echo': (conn) => conn.receive((message) => conn.send(message)) },
);
await vite.listen();

const [url] = vite.resolvedUrls!.local;
console.log(url);
