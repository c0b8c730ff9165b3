// A page and its WebSockets on one connection of HTTP/2.
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import process from 'node:process';
import { serve } from '@ws/node-server';

const { PORT = '0', TLS_KEY = 'key.pem', TLS_CERT = 'cert.pem' } = process.env;

/** Names the connection of TCP that carries a request. */
function carrier({ httpVersion, socket }: IncomingMessage): string {
  return `HTTP/${httpVersion} from port ${socket.remotePort}`;
}

const page = (req: IncomingMessage): string => `<!doctype html>
<title>HTTP/2</title>
<p>This page came over <output>${carrier(req)}</output>
<p>Type something: <input autofocus> <output id="echo"></output>
<ul></ul>
<script>
  const url = location.href.replace('http', 'ws');
  for (let i = 1; i <= 4; i++) {
    const line = document.querySelector('ul').appendChild(document.createElement('li'));
    new WebSocket(url + 'carrier').onmessage = ({ data }) => {
      line.innerHTML = 'WebSocket ' + i + ' came over <output>' + data + '</output>';
    };
  }
  const socket = new WebSocket(url + 'echo');
  socket.onmessage = ({ data }) => (document.querySelector('#echo').value = data);
  document.querySelector('input').oninput = ({ target }) => socket.send(target.value);
</script>
`;

function respond(req: IncomingMessage, res: ServerResponse): void {
  if (req.url !== '/') return void res.writeHead(404).end('there is only /\n');
  res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(page(req));
}

async function start() {
  const tls = { key: readFileSync(TLS_KEY), cert: readFileSync(TLS_CERT) };
  const options = { port: Number(PORT), host: '127.0.0.1', tls, http2: true, request: respond };
  return serve(options, {
    '/carrier': async (conn, req) => {
      await conn.send(carrier(req));
      await conn.discardReads();
    },
    '/echo': (conn) => conn.receive((message) => conn.send(message)),
  });
}

/** The message is enough: no such file, an invalid key, or a port that is in use. */
function quit(error: unknown): never {
  console.error(String(error));
  process.exit(1);
}

const server = await start().catch(quit);

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void server.close());
console.log(server.url.replace(/^ws/, 'http'));
