// A WebSocket and the routes of an Express application on one port.
import { createServer } from 'node:http';
import process from 'node:process';
import { serve } from '@ws/node-server';
import express from 'express';

const app = express();
app.get('/', (_req, res) => void res.send('a page of Express\n'));

const http = createServer(app);
const server = await serve(
  {
    server: http,
    port: Number(process.env['PORT'] ?? 0),
    host: '127.0.0.1',
  },
  { '/echo': (conn) => conn.receive((message) => conn.send(message)) },
).catch((error: Error) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
});

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    http.close();
    void server.close();
    // Browsers open connections in advance. Without a request, those keep the server open.
    setTimeout(() => http.closeAllConnections(), 2_000).unref();
  });
}
console.log(server.url.replace(/^ws/, 'http'));
