// A page and a WebSocket on one port of a node:http server, by an Upgrader.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { CloseCode, type Conn, Upgrader } from '@ws/node-server';

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

// An Upgrader answers the handshakes of any server; it keeps no list of the connections.
const upgrader = new Upgrader({ readLimit: 65_536 });
const conns = new Set<Conn>();
http.on(
  'upgrade',
  upgrader.handler((conn) => {
    conns.add(conn);
    void conn.closed.then(() => conns.delete(conn));
    return conn.receive((message) => conn.send(message));
  }),
);

try {
  http.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1');
  await once(http, 'listening');
} catch (error) {
  // A port that is in use, or none: the reason is enough.
  console.error(String(error));
  process.exit(1);
}
console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}/`);

// `on`, not `once`: Ctrl-C may come twice, from the terminal and from npm.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    http.close();
    for (const conn of conns) void conn.close(CloseCode.GoingAway);
    // Those that have sent no request would keep it open, and browsers open some in advance.
    setTimeout(() => http.closeAllConnections(), 2_000).unref();
  });
}
