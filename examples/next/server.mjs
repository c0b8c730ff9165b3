// WebSockets on the port of Next, with a custom server.
import { createServer } from 'node:http';
import process from 'node:process';
import { serve } from '@ws/node-server';
import next from 'next';

const { PORT = '0', NODE_ENV } = process.env;
const dev = NODE_ENV !== 'production';
const http = createServer((req, res) => void pages(req, res));
// `httpServer`: Next's hot reload takes its own upgrades from this server.
const app = next({ dev, dir: import.meta.dirname, httpServer: http });
await app.prepare();
const pages = app.getRequestHandler();

const server = await serve(
  // The hot reload is Next's own. In production nothing would answer the other paths.
  { server: http, port: Number(PORT), host: '127.0.0.1', unmatched: dev ? 'leave' : undefined },
  { '/echo': (conn) => conn.receive((message) => conn.send(message)) },
);

async function stop() {
  await server.close();
  await app.close();
  process.exit();
}

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => void stop());
}
console.log(server.url.replace(/^ws/, 'http'));
