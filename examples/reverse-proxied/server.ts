// A server that only its reverse proxy can reach: see nginx.conf and haproxy.cfg.
import process from 'node:process';
import { serve } from '@ws/node-server';

const server = await serve(
  {
    port: Number(process.env['PORT'] ?? 8080),
    host: '127.0.0.1',
    request: (_req, res) => res.end('a page\n'),
    // Who connects to this server is the proxy. It names its client in the last place; what stands before that, anybody
    // may have sent.
    clientAddress: (req) => req.headers['x-forwarded-for']?.toString().split(',').at(-1)?.trim(),
    maxConnectionsPerAddress: 20,
    // More often than the proxies' timeouts, so that they take no idle connection for a dead one.
    heartbeat: { interval: 20_000, timeout: 20_000 },
  },
  (conn) => conn.receive((message) => conn.send(message)),
).catch((error: Error) => {
  // A port that is in use, or none: the reason is enough.
  console.error(String(error));
  process.exit(1);
});
console.log(server.url.replace(/^ws/, 'http'));

// `on`, not `once`: Ctrl-C may come twice, from the terminal and from npm.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void server.close());
}
