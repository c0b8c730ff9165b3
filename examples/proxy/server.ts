// A development server: its page is its own, its WebSocket connections go to one of two backends. A
// browser stays at its backend by a cookie.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import process from 'node:process';
import { serve } from '@ws/node-server';
import { createProxy } from '@ws/proxy';

const backends = await Promise.all(
  ['one', 'two'].map((name) =>
    serve({ port: 0, host: '127.0.0.1' }, async (conn) => {
      await conn.send(`hello from ${name}`);
      await conn.receive((message) => conn.send(message));
    }),
  ),
);

const placeOf = (cookie = ''): string | undefined => /\bbackend=([\w-]+)/.exec(cookie)?.[1];
const proxy = createProxy(
  backends.map(({ url }) => url),
  { sticky: (req) => placeOf(req.headers.cookie) },
);

const page = `<!doctype html><title>proxy</title><output></output><script type="module">
const socket = new WebSocket(location.href.replace('http', 'ws'));
socket.onmessage = ({ data }) => document.querySelector('output').append(data);
</script>`;
const server = createServer((req, res) => {
  res.setHeader('Content-Type', 'text/html; charset=utf-8');
  if (!placeOf(req.headers.cookie)) {
    res.setHeader('Set-Cookie', `backend=${randomUUID()}; HttpOnly; SameSite=Lax; Path=/`);
  }
  res.end(page);
});
server.on('upgrade', proxy.handler);
server.listen(Number(process.env['PORT'] ?? 8080), '127.0.0.1', () => {
  const { port } = server.address() as { port: number };
  console.log(`ws://127.0.0.1:${port}`);
});

async function stop(): Promise<void> {
  server.close();
  await proxy.close({ timeout: 2_000 });
  await Promise.all(backends.map((backend) => backend.close({ timeout: 1_000 })));
  server.closeAllConnections();
}
// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void stop());
