// A server behind nginx.conf or haproxy.cfg. Only the proxy can reach it.
import process from 'node:process';
import { serve } from '@ws/node-server';

const server = await serve(
  {
    port: Number(process.env['PORT'] ?? 8080),
    host: '127.0.0.1',
    request: (_req, res) => res.end('a page\n'),
    // Every connection comes from the proxy, which names the client in X-Forwarded-For.
    trustProxy: 1,
    limits: [{ by: 'address', connections: 20 }],
    // Shorter than the timeouts of the proxies, so that they do not cut idle connections.
    heartbeat: { interval: 20_000, timeout: 20_000 },
  },
  (conn) => conn.receive((message) => conn.send(message)),
).catch((error: Error) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
});

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void server.close());
}
console.log(server.url.replace(/^ws/, 'http'));
