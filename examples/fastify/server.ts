// A WebSocket and the routes of a Fastify application on one port.
import process from 'node:process';
import { serve } from '@ws/node-server';
import fastify from 'fastify';

const app = fastify();
app.get('/', () => 'a page of Fastify\n');

// Attach before Fastify listens, so that no upgrade is missed.
const server = await serve(
  {
    server: app.server,
  },
  { '/echo': (conn) => conn.receive((message) => conn.send(message)) },
);
// `app.close()` waits for every socket, so close the WebSockets first.
app.addHook('preClose', async () => {
  await server.close();
});

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    void app.close();
    // Browsers open connections in advance. Without a request, those keep the server open.
    setTimeout(() => app.server.closeAllConnections(), 2_000).unref();
  });
}

try {
  console.log(await app.listen({ port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1' }));
} catch (error) {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
}
