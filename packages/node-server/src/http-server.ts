import { once } from 'node:events';
import { createServer, type Server as HttpServer } from 'node:http';
import {
  createServer as createTlsServer,
  Server as HttpsServer,
  type ServerOptions,
} from 'node:https';
import { isIPv6, type Server as NetServer } from 'node:net';
import { resolve } from 'node:path';
import { Server as TlsServer } from 'node:tls';
import { isError } from '@ws/conn/internal';
import { withReadableKeys } from '@ws/node-io/internal';
import type { ErrorReporter } from './error-reporter.ts';
import { makeHttp2Server } from './http2/on-demand.ts';
import type { AdmitOrRefuse } from './policies/authenticate.ts';
import { clientErrorListener } from './responder/client-error.ts';
import type { OnRefused } from './responder/refusals.ts';
import { type ListenAddress, type ServeOptions } from './serve-options.ts';
import { removeStaleSocket } from './stale-socket.ts';
import { guardedTls } from './tls-callbacks.ts';

/** Sockets of a server above its connections and handshakes: for plain requests. */
const SPARE_SOCKETS = 256;
/** Milliseconds between two requests of a client over HTTP/1.1: the default of node:http. */
const KEEP_ALIVE_MS = 5_000;

/**
 * Most sockets of a server that bounds its connections. Sockets without an upgrade request are no
 * connections, and they take file descriptors too.
 */
export function maxSockets({
  maxConnections,
  maxHandshakes = 1024,
}: Pick<ServeOptions, 'maxConnections' | 'maxHandshakes'>): number {
  if (!maxConnections) return Infinity;
  return maxConnections + (maxHandshakes || 0) + SPARE_SOCKETS;
}

/**
 * Makes a server. `handshakeTimeout` also bounds the TLS handshake and the request head.
 *
 * @param reporter - Gets the errors of the functions in `options.tls`.
 * @param refused - Gets the refusals of bytes that are no HTTP request.
 */
export function makeServer<Result extends AdmitOrRefuse>(
  options: ServeOptions<Result>,
  reporter: ErrorReporter,
  refused: OnRefused,
): HttpServer | HttpsServer {
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
  // insecureHTTPParser: `node --insecure-http-parser` would otherwise accept ambiguous request
  // heads. requireHostHeader: Node answers a request without Host itself, and then serves the next
  // request on the socket.
  const strict = { ...bounds, insecureHTTPParser: false, requireHostHeader: false };
  const guarded = tls && { ...strict, ...tlsBound, ...tls, ...guardedTls(tls, reporter) };
  const http = http2Server(options.http2, guarded, strict) ?? http1Server(guarded, strict);
  // `http.Server.close` (since Node 19) calls this. It would end connections whose last answer is
  // not sent yet.
  http.closeIdleConnections = () => {};
  http.on(
    'clientError',
    clientErrorListener(http, handshakeTimeout === false ? Infinity : handshakeTimeout, refused),
  );
  return http;
}

function http1Server(
  tls: ServerOptions | undefined,
  strict: ServerOptions,
): HttpServer | HttpsServer {
  if (tls === undefined) return createServer(strict);
  return withReadableKeys('tls', () => createTlsServer(tls));
}

/** Makes the server of the option `http2`; returns undefined without it. */
function http2Server(
  http2: ServeOptions['http2'],
  tls: ServerOptions | undefined,
  strict: ServerOptions,
): HttpsServer | undefined {
  if (!http2) return undefined;
  const options = typeof http2 === 'object' ? http2 : {};
  const server = withReadableKeys('tls', () => makeHttp2Server(options, tls));
  // node:http2 reads the bounds of HTTP/1.1 from the server, not from its options, and has no default for
  // `keepAliveTimeout`. With HTTP/1.1 beside it, the server emits the events of an https.Server.
  return Object.assign(server as HttpsServer, { keepAliveTimeout: KEEP_ALIVE_MS }, strict);
}

/**
 * Makes a server listen, and resolves then.
 *
 * @throws (rejects with) the error of `listen`.
 */
export async function listenOn(
  server: NetServer,
  { port = 0, host, socketPath, replaceStale, listen }: ListenAddress,
): Promise<void> {
  const path = socketPath ?? listen?.path;
  try {
    // Before `listen`: a worker of a cluster that calls it again gets no socket that others share.
    if (replaceStale) await removeStaleSocket(path!);
    // Node prefers a port to a path.
    server.listen(path === undefined ? { port, host, ...listen } : { ...listen, path });
    await once(server, 'listening');
  } catch (error) {
    throw listenError(error, replaceStale);
  }
}

/**
 * Returns the error of `listen`. Its message says what to do for an address that is in use, and for
 * a server that listens already.
 */
function listenError(error: unknown, replacesStale = false): unknown {
  const { code, address, port } = error as { code?: string; address?: string; port?: number };
  if (!isError(error)) return error;
  // An event has created it: its stack does not name the caller of `serve`.
  Error.captureStackTrace(error);
  if (code === 'ERR_SERVER_ALREADY_LISTEN') {
    error.message = `server: it is already listening; omit port, host, socketPath and listen (${error.message})`;
  }
  if (code !== 'EADDRINUSE') return error;
  const isPath = port === undefined || port < 0;
  const inUse = isPath
    ? `socketPath: ${address} ${replacesStale ? 'is in use, or no socket' : LEFT_OR_USED}`
    : `port: ${port} is in use; end the process that listens there`;
  error.message = `${inUse}, or choose another (${error.message})`;
  return error;
}

/** The file of a Unix socket says nothing about a process. */
const LEFT_OR_USED =
  'is in use, or a process left it when it ended; set replaceStale: true to replace it then';

/** Returns the URL of a listening server; `''` for a socket without an address. */
export function urlOf(server: NetServer, { host, listen }: ListenAddress): string {
  // In Bun an https.Server is no tls.Server.
  const secure = server instanceof TlsServer || server instanceof HttpsServer;
  const scheme = secure ? 'wss' : 'ws';
  const address = server.address();
  // A pipe that came as a file descriptor has none, and no URL has a NUL, which begins a name of
  // Linux's abstract namespace.
  if (address === null || (typeof address === 'string' && address.startsWith('\0'))) return '';
  if (typeof address === 'string') return `${scheme}+unix:${socketPath(address)}`;
  return `${scheme}://${reachableHost(host ?? listen?.host ?? address.address)}:${address.port}`;
}

/** Encodes the path of a Unix socket for a URL, where a colon would end it. */
function socketPath(path: string): string {
  return encodeURI(resolve(path)).replace(/[:?#]/g, encodeURIComponent);
}

/** Returns the host by which this machine reaches a server that listens on `host`. */
function reachableHost(host: string): string {
  if (host === '' || host === '::' || host === '0.0.0.0') return '127.0.0.1';
  return isIPv6(host) ? `[${host}]` : host;
}
