// A page and a WebSocket on one port of a node:http server, with an Upgrader.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { Upgrader } from '@ws/node-server';

const PAGE = `<!doctype html>
<title>echo</title>
<p>Type something: <input autofocus> <output></output>
<script>
  const socket = new WebSocket(location.href.replace('http', 'ws'));
  socket.onmessage = ({ data }) => (document.querySelector('output').value = data);
  document.querySelector('input').oninput = ({ target }) => socket.send(target.value);
</script>
`;

const http = createServer((req, res) => {
  if (req.url === '/') res.setHeader('Content-Type', 'text/html; charset=utf-8').end(PAGE);
  else res.writeHead(404).end('there is only /\n');
});

// An Upgrader answers the handshakes of any server.
const upgrader = new Upgrader({ readLimit: 65_536 });
http.on(
  'upgrade',
  upgrader.handler((conn) => conn.receive((message) => conn.send(message))),
);

try {
  http.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1');
  await once(http, 'listening');
} catch (error) {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
}

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    http.close();
    void upgrader.close();
    // Browsers open connections in advance. Without a request, those keep the server open.
    setTimeout(() => http.closeAllConnections(), 2_000).unref();
  });
}
console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}/`);
