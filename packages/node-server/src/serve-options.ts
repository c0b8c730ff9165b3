import { Server as HttpServer, type RequestListener } from 'node:http';
import { Server as HttpsServer, type ServerOptions } from 'node:https';
import type { Routes } from './conn-handler.ts';
import {
  type AuthOf,
  checkKeys,
  expect,
  type UpgraderOptions,
  upgraderOptionNames,
} from './options.ts';
import { checkHandlers } from './routes.ts';

/** What {@link serve} can be told, besides all that an {@link Upgrader} can. */
export interface ServeOptions<Result = undefined, Pattern extends string = string>
  extends UpgraderOptions<Result> {
  /** Default: 0, a port that is free. */
  readonly port?: number | undefined;
  /** Default: all interfaces. */
  readonly host?: string | undefined;
  /** A Unix socket to listen on in place of a port. */
  readonly path?: string | undefined;
  /** Certificate and key, as node:https takes them: serves wss. */
  readonly tls?: ServerOptions | undefined;
  /** A server of yours, which stays yours: it is not closed. It listens already, will, or is told to by `port` or `host`. */
  readonly server?: HttpServer | HttpsServer | undefined;
  /**
   * Handlers by path, `'/chat'` or `'/feed/:id'`. Other paths go to `serve`'s second argument, or get 404 when there is
   * none. For the types' sake `authenticate` stands before it.
   */
  readonly routes?: Routes<Pattern, AuthOf<Result>> | undefined;
  /**
   * Answers requests that are no upgrades, on every path and with any `Host` (`allowedHosts` guards upgrades alone), as
   * node:http's 'request' does. Default: 426.
   */
  readonly request?: RequestListener | undefined;
}

/** {@link ServeOptions} with routes, which make the handler for all other paths optional. */
export interface RoutedServeOptions<Result = undefined, Pattern extends string = string>
  extends ServeOptions<Result, Pattern> {
  readonly routes: Routes<Pattern, AuthOf<Result>>;
}

const SERVE_OPTION_NAMES: readonly (keyof ServeOptions)[] = [
  'port',
  'host',
  'path',
  'tls',
  'server',
  'routes',
  'request',
  ...upgraderOptionNames,
];

/** @throws TypeError, RangeError that names the option. The Upgrader checks those that are its own. */
export function checkServeOptions<Result>(options: ServeOptions<Result>): void {
  checkKeys('serve', options, SERVE_OPTION_NAMES);
  const { port, host, path, tls, server, routes, request } = options;
  if (port !== undefined) {
    expect('port', port, typeof port === 'number', 'a number');
    if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
      throw new RangeError(`port: expected 0 to 65535, got ${port}`);
    }
  }
  if (host !== undefined) expect('host', host, typeof host === 'string', 'a string');
  if (path !== undefined) expect('path', path, typeof path === 'string', 'a string');
  if (tls !== undefined) {
    expect('tls', tls, typeof tls === 'object' && tls !== null, 'an object');
  }
  if (routes !== undefined) checkHandlers(routes);
  if (request !== undefined) {
    expect('request', request, typeof request === 'function', 'a function');
  }
  if (path !== undefined && (port ?? host) !== undefined) {
    throw new TypeError('path: a Unix socket has neither port nor host');
  }
  if (server !== undefined) checkServer(options);
}

function checkServer<Result>({
  port,
  host,
  path,
  tls,
  server,
  request,
}: ServeOptions<Result>): void {
  const given: unknown = server;
  const known = given instanceof HttpServer || given instanceof HttpsServer;
  expect('server', server, known, 'a server of node:http or node:https');
  if (tls !== undefined) throw new TypeError('tls: the server given has its own');
  if (request !== undefined && server?.listenerCount('request') !== 0) {
    throw new TypeError('request: the server given has a listener of its own');
  }
  if (server?.listening && (port ?? host ?? path) !== undefined) {
    throw new TypeError('server: it listens already; leave port, host and path out');
  }
}
