// A WebSocket beside the routes of an Express application, on one port.
import { createServer } from 'node:http';
import process from 'node:process';
import { serve } from '@ws/node-server';
import express from 'express';

const app = express();
app.get('/', (_req, res) => void res.send('a page of Express\n'));

const http = createServer(app);
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
