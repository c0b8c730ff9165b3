// A WebSocket and the routes of h3 on one port. srvx runs h3 on Node.
import type { Server } from 'node:http';
import process from 'node:process';
import { serve as serveWebSockets } from '@ws/node-server';
import { H3, serve } from 'h3';

const app = new H3().get('/', () => 'a page of h3\n');
const h3 = serve(app, {
  port: Number(process.env['PORT'] ?? 0),
  hostname: '127.0.0.1',
  silent: true,
  // srvx would end the process without close frames.
  gracefulShutdown: false,
  // Attach before srvx listens, so that no upgrade is missed.
  manual: true,
});
const server = await serveWebSockets(
  { server: h3.node!.server as Server },
  { '/echo': (conn) => conn.receive((message) => conn.send(message)) },
);
await h3.serve();
await h3.ready();

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    void server.close().then(() => h3.close(true));
  });
}
console.log(h3.url);
