// A WebSocket beside the routes of a Hono application on Node, on one port.
import { createServer } from 'node:http';
import process from 'node:process';
import { getRequestListener } from '@hono/node-server';
import { serve } from '@ws/node-server';
import { Hono } from 'hono';

const app = new Hono();
app.get('/', (c) => c.text('a page of Hono\n'));

const answer = getRequestListener(app.fetch);
const http = createServer((req, res) => void answer(req, res));
const server = await serve({
  server: http,
  port: Number(process.env['PORT'] ?? 0),
  host: '127.0.0.1',
  routes: { '/echo': (conn) => conn.receive((message) => conn.send(message)) },
}).catch((error: Error) => {
  // A port that is in use, or none: the reason is enough.
  console.error(String(error));
  process.exit(1);
});
console.log(server.url.replace(/^ws/, 'http'));

// `on`, not `once`: Ctrl-C may come twice, from the terminal and from npm.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    http.close();
    void server.close();
    // Those that have sent no request would keep it open, and browsers open some in advance.
    setTimeout(() => http.closeAllConnections(), 2_000).unref();
  });
}
