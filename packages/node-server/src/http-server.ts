import { createServer, type Server as HttpServer } from 'node:http';
import { createServer as createTlsServer, Server as HttpsServer } from 'node:https';
import { type AddressInfo, isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { answerFaults } from './faults.ts';
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
  // Node would refuse a request without a Host, and serve what stands behind it.
  const strict = { ...bounds, insecureHTTPParser: false, requireHostHeader: false };
  const http =
    tls === undefined ? createServer(strict) : createTlsServer({ ...strict, ...tlsBound, ...tls });
  // With the server it would end connections whose last answer is still on its way.
  http.closeIdleConnections = () => {};
  http.on('clientError', answerFaults(handshakeTimeout === false ? Infinity : handshakeTimeout));
  return http;
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
