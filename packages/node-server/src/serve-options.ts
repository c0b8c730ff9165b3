import { Server as HttpServer, type RequestListener } from 'node:http';
import { Server as HttpsServer, type ServerOptions } from 'node:https';
import { checkOptionNames } from '@ws/conn/internal';
import { assertOption } from '@ws/http-shared';
import type { Routes } from './conn-handler.ts';
import { type AuthOf, type UpgraderOptions, upgraderOptionNames } from './options.ts';
import { checkHandlers } from './routes.ts';

/** Options of {@link serve}, together with those of an {@link Upgrader}. */
export interface ServeOptions<Result = undefined, Pattern extends string = string>
  extends UpgraderOptions<Result> {
  /** TCP port to listen on, 0 to 65535. Default: 0, a free port. */
  readonly port?: number | undefined;
  /** Address or name to listen on. Default: all interfaces. */
  readonly host?: string | undefined;
  /** Path of a Unix socket to listen on, instead of `port` and `host`. */
  readonly path?: string | undefined;
  /**
   * Options of `https.createServer`, at least certificate and key. Serves wss. Default: ws, without
   * TLS.
   */
  readonly tls?: ServerOptions | undefined;
  /**
   * Your own HTTP server. `close` does not close it. It may listen already or later; with `port`,
   * `host` or `path` it is made to listen, and `serve` waits for that. Default: a new server.
   */
  readonly server?: HttpServer | HttpsServer | undefined;
  /**
   * Handlers by path, `'/chat'` or `'/feed/:id'`. Other paths go to the second argument of `serve`,
   * or get 404 without it. Write `authenticate` before `routes`: TypeScript then infers the type of
   * `auth`.
   */
  readonly routes?: Routes<Pattern, AuthOf<Result>> | undefined;
  /**
   * Answers plain requests, on every path and with any `Host` (`allowedHosts` guards upgrades
   * only). It is a listener for 'request' of node:http. Default: answers 426.
   */
  readonly request?: RequestListener | undefined;
}

/** {@link ServeOptions} with routes. The handler for other paths is optional then. */
export interface RoutedServeOptions<Result = undefined, Pattern extends string = string>
  extends ServeOptions<Result, Pattern> {
  readonly routes: Routes<Pattern, AuthOf<Result>>;
}

export const serveOptionNames: readonly (keyof ServeOptions)[] = [
  'port',
  'host',
  'path',
  'tls',
  'server',
  'routes',
  'request',
  ...upgraderOptionNames,
];

/** @throws TypeError or RangeError that names the option. The Upgrader checks its own options. */
export function checkServeOptions<Result>(options: ServeOptions<Result>): void {
  checkOptionNames('serve', options, serveOptionNames, 'ignore');
  const { port, host, path, tls, server, routes, request } = options;
  if (port !== undefined) {
    assertOption('port', port, typeof port === 'number', 'a number');
    if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
      throw new RangeError(`port: expected 0 to 65535, got ${port}`);
    }
  }
  if (host !== undefined) assertOption('host', host, typeof host === 'string', 'a string');
  if (path !== undefined) assertOption('path', path, typeof path === 'string', 'a string');
  if (tls !== undefined) {
    assertOption('tls', tls, typeof tls === 'object' && tls !== null, 'an object');
  }
  if (routes !== undefined) checkHandlers(routes);
  if (request !== undefined) {
    assertOption('request', request, typeof request === 'function', 'a function');
  }
  if (path !== undefined && (port ?? host) !== undefined) {
    throw new TypeError('path: a Unix socket has neither port nor host');
  }
  if (server !== undefined) checkServer(options);
  if (options.unmatched === 'leave' && (server === undefined || routes === undefined)) {
    throw new TypeError(
      "unmatched: 'leave' needs the options server and routes; otherwise no other listener could answer",
    );
  }
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
  assertOption('server', server, known, 'a server of node:http or node:https');
  if (tls !== undefined) throw new TypeError('tls: the given server has its own; set it there');
  if (request !== undefined && server?.listenerCount('request') !== 0) {
    throw new TypeError("request: the given server already has a listener for 'request'");
  }
  if (server?.listening && (port ?? host ?? path) !== undefined) {
    throw new TypeError('server: it is already listening; omit port, host and path');
  }
}
