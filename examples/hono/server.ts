// WebSockets in routes of a Hono application, on one port.
import process from 'node:process';
import { upgrade, upgradeWebSocket } from '@ws/fetch';
import { serveFetch } from '@ws/fetch/node';
import { Hono } from 'hono';

const app = new Hono();
app.use(async (c, next) => {
  await next();
  c.header('X-Served-By', 'Hono');
});
app.get('/', (c) => c.text('a page of Hono\n'));
app.get('/echo', (c) =>
  upgrade(c.req.raw, {}, (conn) => conn.receive((message) => conn.send(message))),
);
// The same with the events of Hono.
app.get(
  '/events',
  upgradeWebSocket(() => ({ onMessage: ({ data }, socket) => socket.send(data) })),
);

const server = await serveFetch((request) => app.fetch(request), {
  port: Number(process.env['PORT'] ?? 0),
  host: '127.0.0.1',
}).catch((error: Error) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
});

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void server.close());
}
console.log(server.url.replace(/^ws/, 'http'));
