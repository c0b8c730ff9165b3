import { Server as HttpServer, type RequestListener } from 'node:http';
import { Server as HttpsServer, type ServerOptions } from 'node:https';
import { type ListenOptions as NetListenOptions, Server as NetServer } from 'node:net';
import process from 'node:process';
import type { SecureContextOptions } from 'node:tls';
import { checkOptionNames, kind, optionHint, whole } from '@ws/conn/internal';
import { assertOption } from '@ws/node-io/internal';
import type { Http2Options } from './http2/http2-server.ts';
import { type UpgraderOptions, upgraderOptionNames } from './options.ts';
import { hasRequestListener } from './plain-requests.ts';
import type { AdmitOrRefuse } from './policies/authenticate.ts';

/** Options of `listen` of node:net for {@link serve}. Use `close` in place of `signal`. */
export interface ListenOptions extends Omit<NetListenOptions, 'signal'> {
  /** A descriptor that the process has inherited; replaces `port` and `socketPath`. */
  readonly fd?: number | undefined;
  /** Lets several processes listen on one port, where the system can; Node 23.1 and later. */
  readonly reusePort?: boolean | undefined;
}

/** Where a server listens. */
export interface ListenAddress {
  /** TCP port to listen on, 0 to 65535. Default: 0, a free port. */
  readonly port?: number | undefined;
  /** Address or name to listen on. Default: all interfaces. */
  readonly host?: string | undefined;
  /**
   * Path of a Unix socket to listen on, at most 107 bytes, instead of `port` and `host`. Default:
   * none.
   */
  readonly socketPath?: string | undefined;
  /**
   * Replaces the file of the Unix socket when no process listens there: a process that was killed
   * leaves it. A server that runs, and a file that is no socket, are never replaced. Default: false,
   * `EADDRINUSE`.
   */
  readonly replaceStale?: boolean | undefined;
  /** More options of `listen`: `fd`, `backlog`, `ipv6Only`, ... Default: Node's. */
  readonly listen?: ListenOptions | undefined;
}

/** Options of {@link serve}, together with the options of an {@link Upgrader}. */
export interface ServeOptions<Result extends AdmitOrRefuse = undefined>
  extends UpgraderOptions<Result>,
    ListenAddress {
  /**
   * Options of `https.createServer`: `key` and `cert`, or `pfx`, `SNICallback` or `pskCallback`.
   * Serves wss. Default: ws, without TLS.
   */
  readonly tls?: ServerOptions | undefined;
  /**
   * WebSockets over HTTP/2 (RFC 8441), and plain requests, on the port. `true` and {@link Http2Options}
   * need `tls`; clients that choose HTTP/1.1 are served too. `'clear'` is HTTP/2 without TLS and
   * without HTTP/1.1, behind a proxy. For your own server, use `streams` of an {@link Upgrader}.
   * Default: `false`.
   */
  readonly http2?: boolean | 'clear' | Http2Options | undefined;
  /**
   * Your own HTTP server. `close` does not close it. It may listen already or later; with `port`,
   * `host`, `socketPath` or `listen` it is made to listen, and `serve` waits for that. Default: a
   * new server.
   */
  readonly server?: HttpServer | HttpsServer | undefined;
  /**
   * Answers plain requests, on every path and with any `Host` (`allowedHosts` guards upgrades
   * only). It is a listener for 'request' of node:http. Default: answers 426.
   */
  readonly request?: RequestListener | undefined;
}

export const serveOptionNames: readonly (keyof ServeOptions)[] = [
  'port',
  'host',
  'socketPath',
  'replaceStale',
  'listen',
  'tls',
  'http2',
  'server',
  'request',
  ...upgraderOptionNames,
];

const LISTEN_NAMES: readonly (keyof ListenOptions)[] = [
  'port',
  'host',
  'path',
  'fd',
  'backlog',
  'exclusive',
  'ipv6Only',
  'readableAll',
  'reusePort',
  'writableAll',
];

/** Most bytes in the path of a Unix socket (`sun_path` of Linux, without its NUL). */
const MAX_SOCKET_PATH = 107;

/**
 * Checks the options of `serve` itself. The Upgrader checks its own.
 *
 * @param isRouted - Whether the second argument is an object of routes.
 * @throws TypeError or RangeError that names the option.
 */
export function checkServeOptions(options: ServeOptions<AdmitOrRefuse>, isRouted: boolean): void {
  checkIsOptions('serve', options);
  checkOptionNames('serve', options, serveOptionNames, 'ignore', optionHint);
  const { tls, server, request } = options;
  checkAddress(options);
  if (request !== undefined) {
    assertOption('request', request, typeof request === 'function', 'a function');
  }
  if (server !== undefined) checkServer(options);
  if (tls !== undefined) checkTls(tls);
  checkHttp2(options);
  if (options.unmatched === 'leave' && (server === undefined || !isRouted)) {
    throw new TypeError(
      "unmatched: 'leave' needs the option server and routes; otherwise no other listener could answer",
    );
  }
}

/**
 * Checks the first argument of `serve` and `serveRaw` for a value that other libraries take there.
 *
 * @throws TypeError that says what to write instead.
 */
export function checkIsOptions(owner: string, options: unknown): void {
  if (typeof options === 'function') {
    throw new TypeError(
      `${owner}: the options come first; write ${owner}({ port: 8080 }, handler)`,
    );
  }
  if (options instanceof NetServer) {
    throw new TypeError(`${owner}: expected an object of options, got a server; write { server }`);
  }
  if (typeof options === 'number' || typeof options === 'string') {
    const port = /^\d+$/.test(`${options}`) ? `{ port: ${options} }` : '{ port, host }';
    throw new TypeError(
      `${owner}: expected an object of options, got ${typeof options}; write ${owner}(${port}, handler)`,
    );
  }
}

function checkHttp2({ http2 = false, tls, server }: ServeOptions<AdmitOrRefuse>): void {
  if (http2 === false) return;
  const isObject = typeof http2 === 'object' && http2 !== null;
  const isKnown = http2 === true || http2 === 'clear' || isObject;
  assertOption('http2', http2, isKnown, "true, 'clear' or { maxStreams }");
  if (server !== undefined) {
    throw new TypeError(
      'http2: cannot be combined with server; for your own server of node:http2 use upgrader.streams(handler)',
    );
  }
  if (http2 === 'clear') {
    if (tls === undefined) return;
    throw new TypeError("http2: 'clear' cannot be combined with tls; use http2: true");
  }
  if (isObject) checkOptionNames('http2', http2, ['maxStreams'], 'ignore');
  if (tls === undefined) {
    throw new TypeError(
      "http2: tls is missing; browsers use HTTP/2 only over TLS; use http2: 'clear' behind a proxy",
    );
  }
  if (!isObject) return;
  if (http2.maxStreams !== undefined) whole('http2.maxStreams', http2.maxStreams, 1, 2 ** 32 - 1);
}

/** Whether an option says where to listen. */
export function namesAddress({
  port,
  host,
  socketPath,
  listen,
}: ServeOptions<AdmitOrRefuse>): boolean {
  return (port ?? host ?? socketPath ?? listen) !== undefined;
}

/** @throws TypeError or RangeError that names the option. */
export function checkAddress({
  port,
  host,
  socketPath,
  replaceStale,
  listen = {},
}: ListenAddress): void {
  checkOptionNames('listen', listen, LISTEN_NAMES, 'ignore', optionHint);
  checkOnce('port', port, listen.port);
  checkOnce('host', host, listen.host);
  checkOnce('socketPath', socketPath, listen.path);
  checkPort('port', port);
  checkPort('listen.port', listen.port);
  checkHost('host', host);
  checkHost('listen.host', listen.host);
  checkSocketPath('socketPath', socketPath);
  checkSocketPath('listen.path', listen.path);
  if (replaceStale !== undefined) {
    assertOption('replaceStale', replaceStale, typeof replaceStale === 'boolean', 'a boolean');
  }
  if ((socketPath ?? listen.path) === undefined) {
    if (replaceStale) throw new TypeError('replaceStale: it is for a Unix socket; set socketPath');
    return;
  }
  if ((port ?? host ?? listen.port ?? listen.host) !== undefined) {
    const name = socketPath === undefined ? 'listen.path' : 'socketPath';
    throw new TypeError(`${name}: a Unix socket has neither port nor host`);
  }
}

/** @throws TypeError for an option that `listen` has too. */
function checkOnce(name: 'port' | 'host' | 'socketPath', own: unknown, inListen: unknown): void {
  if (own === undefined || inListen === undefined) return;
  const other = name === 'socketPath' ? 'path' : name;
  throw new TypeError(`listen.${other}: cannot be combined with ${name}; set one of the two`);
}

function checkHost(name: string, host: string | undefined): void {
  if (host === undefined) return;
  assertOption(name, host, typeof host === 'string', 'a string');
  if (!host.includes('/')) return;
  throw new TypeError(
    `${name}: expected a name or an address without a scheme, such as 127.0.0.1, got ${JSON.stringify(host)}`,
  );
}

function checkPort(name: string, port: number | undefined): void {
  if (port === undefined) return;
  assertOption(name, port, typeof port === 'number', 'a number');
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new RangeError(`${name}: expected 0 to 65535, got ${port}`);
  }
}

function checkSocketPath(name: string, path: string | undefined): void {
  if (path === undefined) return;
  assertOption(name, path, typeof path === 'string', 'a string');
  // The first byte of a name in Linux's abstract namespace is NUL. Elsewhere it ends the path.
  if (path === '' || path.lastIndexOf('\0') > 0) {
    throw new TypeError(`${name}: expected a path, got ${JSON.stringify(path)}`);
  }
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_SOCKET_PATH && process.platform !== 'win32') {
    throw new RangeError(
      `${name}: expected at most ${MAX_SOCKET_PATH} bytes, got ${bytes}; use a shorter directory`,
    );
  }
}

/** @throws TypeError without a source of certificates: every client would fail. */
export function checkTls(tls: ServerOptions): void {
  assertOption('tls', tls, typeof tls === 'object' && tls !== null, 'an object');
  const { key, cert, pfx, SNICallback, pskCallback } = tls;
  if ((pfx ?? SNICallback ?? pskCallback) !== undefined) return;
  if (key !== undefined && cert !== undefined) return;
  throw new TypeError('tls: has no certificate; set key and cert, pfx, SNICallback or pskCallback');
}

/**
 * Returns the options of a server after the change of its certificate.
 *
 * @throws TypeError for options without a certificate, or with a callback.
 */
export function withCertificate(
  { key: _key, cert: _cert, pfx: _pfx, passphrase: _passphrase, ...others }: SecureContextOptions,
  renewed: SecureContextOptions,
): SecureContextOptions {
  checkTls(renewed);
  const { SNICallback, pskCallback }: ServerOptions = renewed;
  if ((SNICallback ?? pskCallback) !== undefined) {
    throw new TypeError(
      'reload: SNICallback and pskCallback cannot change; omit them, the server keeps its own',
    );
  }
  const given = Object.entries(renewed).filter(([, value]) => value !== undefined);
  return { ...others, ...Object.fromEntries(given) };
}

function checkServer(options: ServeOptions<AdmitOrRefuse>): void {
  const { server, tls, request } = options;
  const given: unknown = server;
  const known = given instanceof HttpServer || given instanceof HttpsServer;
  if (!known) {
    throw new TypeError(
      `server: expected a server of node:http or node:https, got ${kind(given)}; pass what app.listen() returns, or http.createServer(app); for node:http2 use upgrader.streams(handler)`,
    );
  }
  if (tls !== undefined) throw new TypeError('tls: the given server has its own; set it there');
  if (request !== undefined && hasRequestListener(given)) {
    throw new TypeError("request: the given server already has a listener for 'request'");
  }
  if (server?.listening && namesAddress(options)) {
    throw new TypeError('server: it is already listening; omit port, host, socketPath and listen');
  }
}
