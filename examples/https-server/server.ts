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

function secured(): Server {
  try {
    return createServer(
      {
        key: readFileSync(TLS_KEY),
        cert: readFileSync(TLS_CERT),
        // A silent client delays the shutdown by this time. Node's default is two minutes.
        handshakeTimeout: 5_000,
      },
      (_req, res) => res.end('a page, over TLS\n'),
    );
  } catch (error) {
    return quit(error);
  }
}

/** The message is enough: no such file, an invalid key, or a port that is in use. */
function quit(error: unknown): never {
  console.error(String(error));
  process.exit(1);
}

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    https.close();
    void server.close();
    // Browsers open connections in advance. Without a request, those keep the server open.
    setTimeout(() => https.closeAllConnections(), 2_000).unref();
  });
}
console.log(server.url.replace(/^ws/, 'http'));
