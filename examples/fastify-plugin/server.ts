// WebSockets as a plugin of Fastify. Its hooks and decorators know the connections.
import process from 'node:process';
import { broadcast } from '@ws/node-server';
import fastify from 'fastify';
import { websockets } from './websockets.ts';

const app = fastify();
await app.register(websockets, {
  routes: { '/echo': (conn) => conn.receive((message) => conn.send(message)) },
});
app.post('/news', (_req, reply) => {
  void broadcast(app.websockets.connections, 'news');
  return reply.code(204).send();
});

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    void app.close();
    setTimeout(() => app.server.closeAllConnections(), 2_000).unref();
  });
}
console.log(await app.listen({ port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1' }));
