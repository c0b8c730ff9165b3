// A WebSocket beside the routes of a Fastify application, on one port.
import process from 'node:process';
import { serve } from '@ws/node-server';
import fastify from 'fastify';

const app = fastify();
app.get('/', () => 'a page of Fastify\n');

// Attached before Fastify listens, so that no upgrade comes too early; resolves when it does.
const serving = serve({
  server: app.server,
  routes: { '/echo': (conn) => conn.receive((message) => conn.send(message)) },
});
// `app.close()` waits for every socket: ours go first.
app.addHook('preClose', async () => (await serving).close());

try {
  console.log(await app.listen({ port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1' }));
} catch (error) {
  // A port that is in use, or none: the reason is enough.
  console.error(String(error));
  process.exit(1);
}

// `on`, not `once`: Ctrl-C may come twice, from the terminal and from npm.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    void app.close();
    // Those that have sent no request would keep it open, and browsers open some in advance.
    setTimeout(() => app.server.closeAllConnections(), 2_000).unref();
  });
}
