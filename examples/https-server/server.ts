// wss and https on one port of a node:https server.
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import process from 'node:process';
import { serve } from '@ws/node-server';

const { PORT = '0', TLS_KEY = 'key.pem', TLS_CERT = 'cert.pem' } = process.env;

const https = secured();
const server = await serve({ server: https, port: Number(PORT), host: '127.0.0.1' }, (conn) =>
  conn.receive((message) => conn.send(message)),
).catch(quit);
console.log(server.url.replace(/^ws/, 'http'));

function secured(): Server {
  try {
    return createServer(
      {
        key: readFileSync(TLS_KEY),
        cert: readFileSync(TLS_CERT),
        // Node's two minutes is how long a client that says nothing at all would hold up the end.
        handshakeTimeout: 5_000,
      },
      (_req, res) => res.end('a page, over TLS\n'),
    );
  } catch (error) {
    return quit(error);
  }
}

/** No such file, no such key, a port that is in use: the reason is enough. */
function quit(error: unknown): never {
  console.error(String(error));
  process.exit(1);
}

// `on`, not `once`: Ctrl-C may come twice, from the terminal and from npm.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    https.close();
    void server.close();
    // Those that have sent no request would keep it open, and browsers open some in advance.
    setTimeout(() => https.closeAllConnections(), 2_000).unref();
  });
}
