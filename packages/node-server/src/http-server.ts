import { createServer, type Server as HttpServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer, Server as HttpsServer } from 'node:https';
import { type AddressInfo, isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import type { Duplex } from 'node:stream';
import { HandshakeError } from './errors.ts';
import { refusal } from './respond.ts';
import type { ServeOptions } from './serve-options.ts';

/** A server whose connections have as long for their TLS handshake and their request's head as for the answer. */
export function makeServer<Result>(options: ServeOptions<Result>): HttpServer | HttpsServer {
  const { handshakeTimeout = 10_000, tls } = options;
  const bounds =
    handshakeTimeout === false
      ? {}
      : {
          headersTimeout: Math.ceil(handshakeTimeout),
          requestTimeout: Math.max(Math.ceil(handshakeTimeout), 300_000),
          connectionsCheckingInterval: Math.min(1_000, Math.ceil(handshakeTimeout / 4)),
        };
  const tlsBound = handshakeTimeout === false ? {} : { handshakeTimeout };
  // A flag of the process would let requests in whose head has two readings.
  const strict = { ...bounds, insecureHTTPParser: false };
  const http =
    tls === undefined ? createServer(strict) : createTlsServer({ ...strict, ...tlsBound, ...tls });
  // Every line is seen; the size of the head, 16 KiB, is bound enough.
  http.maxHeadersCount = 0;
  http.on('clientError', answerFault);
  return http;
}

const PLAIN = 'this is a WebSocket server\n';

/** Answers a plain request where there is nothing else to answer it. */
export const upgradeRequired: RequestListener = (_req, res) => {
  res
    .writeHead(426, {
      Upgrade: 'websocket',
      Connection: 'close, Upgrade',
      'Content-Type': 'text/plain; charset=utf-8',
      'Content-Length': PLAIN.length,
      'Sec-WebSocket-Version': '13',
    })
    .end(PLAIN);
};

/** What Node's parser and its clock say of a head, and what that is answered with; all else it says of one is a 400. */
const FAULTS: ReadonlyMap<string, readonly [status: number, says: string]> = new Map([
  ['HPE_HEADER_OVERFLOW', [431, 'request head is too large']],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', [413, 'chunk extensions are too large']],
  ['ERR_HTTP_REQUEST_TIMEOUT', [408, 'request took too long']],
]);

/** Answers what is no HTTP request, where Node would end the connection with a bare status. */
function answerFault(error: NodeJS.ErrnoException & { reason?: string }, socket: Duplex): void {
  const { code = '', reason = 'malformed' } = error;
  const parsed = FAULTS.has(code) || code.startsWith('HPE_');
  const { _httpMessage: begun } = socket as { _httpMessage?: { headersSent: boolean } | null };
  // Other errors are those of the socket or of TLS, and leave nobody to be told. Nothing may stand in an answer.
  if (parsed && socket.writable && begun?.headersSent !== true) {
    const [status, says] = FAULTS.get(code) ?? [400, `not an HTTP request: ${reason}`];
    socket.write(refusal(new HandshakeError(status, says), undefined));
  }
  socket.destroy();
}

/** Where a server that listens is reached. */
export function urlOf(http: HttpServer | HttpsServer, host: string | undefined): string {
  const scheme = http instanceof HttpsServer ? 'wss' : 'ws';
  const address = http.address() as AddressInfo | string;
  if (typeof address === 'string') return `${scheme}+unix:${socketPath(address)}`;
  return `${scheme}://${reachable(host ?? address.address)}:${address.port}`;
}

/** The path of a Unix socket as it stands in a URL, where a colon would end it. */
function socketPath(path: string): string {
  return encodeURI(resolve(path)).replace(/[:?#]/g, encodeURIComponent);
}

/** The host by which this machine reaches what listens on `host`. */
function reachable(host: string): string {
  if (host === '' || host === '::' || host === '0.0.0.0') return '127.0.0.1';
  return isIPv6(host) ? `[${host}]` : host;
}
