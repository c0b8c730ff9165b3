// A page and a WebSocket on one port. Handshakes do not pass through node:http; pages do.
import { createServer } from 'node:http';
import process from 'node:process';
import { serveRaw } from '@ws/node-server/raw';

const PAGE = `<!doctype html>
<title>echo</title>
<p>Type something: <input autofocus> <output></output>
<script>
  const socket = new WebSocket(location.href.replace('http', 'ws'));
  socket.onmessage = ({ data }) => (document.querySelector('output').value = data);
  document.querySelector('input').oninput = ({ target }) => socket.send(target.value);
</script>
`;

// It does not listen itself: it gets the sockets whose first request asks for no WebSocket.
const pages = createServer((req, res) => {
  if (req.url === '/') res.setHeader('Content-Type', 'text/html; charset=utf-8').end(PAGE);
  else res.writeHead(404).end('there is only /\n');
});

const server = await serveRaw(
  {
    port: Number(process.env['PORT'] ?? 0),
    host: '127.0.0.1',
    readLimit: 65_536,
    fallback: pages,
    // Runs for handshakes only.
    onRequest: (target) => (target.startsWith('/') ? undefined : { refuse: 400 }),
  },
  (conn) => conn.receive((message) => conn.send(message)),
).catch((error: unknown) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
});

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    void server.close();
    pages.close();
    // Browsers open connections in advance. Without a request, those keep the process alive.
    setTimeout(() => pages.closeAllConnections(), 2_000).unref();
  });
}
console.log(`${server.url.replace('ws', 'http')}/`);
