import { checked } from '@ws/codec/internal';
import type { Conn } from '@ws/conn';
import {
  checkOptionNames,
  internalsOf,
  isThenable,
  kind,
  onRejection,
  optionHint,
} from '@ws/conn/internal';
import type { AppRequest, ConnHandler, HandlerContext, HandshakeRequest } from './conn-handler.ts';
import {
  type AnyUpgraderOptions,
  checkUpgraderOptions,
  type UpgraderOptions,
  type UpgraderPlan,
  upgraderOptionNames,
} from './options.ts';
import type { PendingWork } from './pending-work.ts';
import type { AdmitOrRefuse, AuthOf } from './policies/authenticate.ts';
import type { NoParams, RouteParams } from './route-table.ts';

/** The options that belong to a server and not to one of its routes. */
const SERVER_ONLY = [
  'maxHandshakes',
  'handshakes',
  'maxConnections',
  'limits',
  'maxTotalBufferedAmount',
  'clientAddress',
  'trustProxy',
  'unmatched',
  'close',
] as const;

/**
 * Options of one route. Each replaces the server's option of that name; an omitted one keeps
 * the server's. `headers` are merged, and the route's win. `checkOrigin` also replaces the server's
 * `allowedOrigins` and `sameHost`, and each of these replaces the server's `checkOrigin`.
 *
 * The limits (`maxHandshakes`, `maxConnections`, ...) count over all routes, so no route has its
 * own.
 */
export interface RouteOptions<Result extends AdmitOrRefuse = undefined, Req = HandshakeRequest>
  extends Omit<UpgraderOptions<Result, Req>, 'authenticate' | (typeof SERVER_ONLY)[number]> {
  /** As for the server; `false` makes the route public. */
  readonly authenticate?: UpgraderOptions<Result, Req>['authenticate'] | false;
}

/** A handler with options of its own, made by {@link route}. */
export class Route<Auth, Params = NoParams, Req = HandshakeRequest> {
  readonly options: RouteOptions<AdmitOrRefuse, Req>;
  readonly handler: ConnHandler<Auth, Params, Req>;

  /** @internal Use {@link route}. */
  constructor(options: RouteOptions<AdmitOrRefuse, Req>, handler: ConnHandler<Auth, Params, Req>) {
    this.options = options;
    this.handler = handler;
  }
}

/**
 * Handlers by request path: `/chat`, or `/feed/:id` with a parameter. A parameter matches one whole
 * segment that is not empty. Paths are compared as sent, without the query: case and a trailing
 * slash count. A literal segment takes precedence over a parameter, whatever the order of the
 * routes. {@link route} gives a route options of its own.
 */
export type Routes<Pattern extends string, Auth, Req = HandshakeRequest> = {
  readonly [P in Pattern]:
    | ConnHandler<Auth, RouteParams<P>, Req>
    | Route<Auth, RouteParams<P>, Req>;
};

/** A handler for all connections, or handlers by path. */
export type HandlerOrRoutes<Pattern extends string, Auth, Req = HandshakeRequest> =
  | ConnHandler<Auth, NoParams, Req>
  | RoutesOnly<Pattern, Auth, Req>;

/**
 * {@link Routes}, but not a function: a function would be assignable to routes without a pattern.
 * Every function has `call`, so that key is excluded. TypeScript 5.4 infers nothing for an
 * intersection with `{ call?: never }`.
 */
type RoutesOnly<Pattern extends string, Auth, Req> = {
  readonly [P in Pattern | 'call']?: P extends 'call' ? never : Routes<P, Auth, Req>[P];
};

// oxlint-disable-next-line typescript/no-explicit-any -- of any route
type AnyHandler = ConnHandler<any, any, any>;

const ROUTE_OPTION_NAMES = upgraderOptionNames.filter(
  (name) => !(SERVER_ONLY as readonly string[]).includes(name),
);

/**
 * Gives a route options of its own, for the second argument of `serve` and for
 * `Upgrader.handler`.
 *
 * TypeScript infers `auth` of a route that keeps the server's `authenticate` only if the parameters
 * of that function have types: `(req: IncomingMessage) => ...`.
 *
 * @throws TypeError or RangeError that names the bad option.
 *
 * @example
 * ```ts
 * import { admit, route, serve } from '@ws/node-server';
 *
 * const server = await serve(
 *   { port: 0, authenticate: () => admit({ user: 'ada' }) },
 *   {
 *     '/chat': (conn, _req, { auth }) => conn.send(`hello ${auth.user}`),
 *     '/status': route({ authenticate: false, readLimit: 1_024 }, (conn) => conn.send('up')),
 *   },
 * );
 * await server.close();
 * ```
 */
export function route<Result extends AdmitOrRefuse, Params, Req = HandshakeRequest>(
  options: RouteOptions<Result, Req> & {
    readonly authenticate: NonNullable<UpgraderOptions<Result, Req>['authenticate']>;
  },
  handler: ConnHandler<AuthOf<Result>, Params, Req>,
  // oxlint-disable-next-line typescript/no-explicit-any -- it replaces any `auth` of the server
): Route<any, Params, Req>;
export function route<Params, Req = HandshakeRequest>(
  options: RouteOptions<undefined, Req> & { readonly authenticate: false },
  handler: ConnHandler<undefined, Params, Req>,
  // oxlint-disable-next-line typescript/no-explicit-any -- it replaces any `auth` of the server
): Route<any, Params, Req>;
export function route<Auth, Params, Req = HandshakeRequest>(
  options: RouteOptions<undefined, Req> & { readonly authenticate?: undefined },
  handler: ConnHandler<Auth, Params, Req>,
): Route<Auth, Params, Req>;
// oxlint-disable typescript/no-explicit-any -- it implements all three
export function route(
  options: RouteOptions<any, any>,
  handler: ConnHandler<any, any, any>,
): Route<any, any, any> {
  // oxlint-enable typescript/no-explicit-any
  return checked(() => makeRoute(options, handler), route);
}

// oxlint-disable-next-line typescript/no-explicit-any -- as above
function makeRoute(options: RouteOptions<any, any>, handler: AnyHandler): Route<any, any, any> {
  for (const name of SERVER_ONLY) {
    if ((options as UpgraderOptions<AdmitOrRefuse> | null)?.[name] === undefined) continue;
    throw new TypeError(`route: ${name} counts for the whole server; set it there`);
  }
  if (typeof options === 'function') {
    throw new TypeError('route: the options come first; write route({ authenticate }, handler)');
  }
  checkOptionNames('route', options, ROUTE_OPTION_NAMES, 'ignore', optionHint);
  checkHandler('handler', handler, 'a function');
  const { headers } = options ?? {};
  // The check reads the entries of an iterator, and each server reads them again.
  const isIterator =
    typeof (headers as Partial<Iterator<unknown>> | undefined)?.next === 'function';
  const kept = isIterator ? { ...options, headers: [...(headers as Iterable<never>)] } : options;
  planRoute({}, undefined, kept);
  return new Route(kept, handler);
}

/**
 * Checks a handler.
 *
 * @param expected - What may be given, for the message.
 * @throws TypeError that says what to pass instead of a Hub, or of the result of a handler.
 */
export function checkHandler(name: string, value: unknown, expected: string): void {
  if (typeof value === 'function') return;
  const message = `${name}: expected ${expected}, got ${kind(value)}`;
  if (isThenable(value)) {
    onRejection(value, () => {});
    throw new TypeError(`${message}; pass the function itself, without calling it`);
  }
  if (value instanceof Route) throw new TypeError(`${message}; write { '/path': route(...) }`);
  const { handler } = Object(value) as { handler?: unknown };
  const advice =
    typeof handler === 'function' ? '; pass its property handler, as in hub.handler' : '';
  throw new TypeError(message + advice);
}

/**
 * Checks the options of a route together with its server's.
 *
 * @param plan - That of the server; undefined to check the route alone.
 * @throws TypeError or RangeError that names the bad option.
 */
export function planRoute(
  server: AnyUpgraderOptions,
  plan: UpgraderPlan | undefined,
  own: RouteOptions<AdmitOrRefuse, AppRequest>,
): UpgraderPlan {
  return checkUpgraderOptions(withRoute(server, own), plan);
}

/** Returns the server's options with a route's; `headers` are only the route's. */
function withRoute(
  server: AnyUpgraderOptions,
  own: RouteOptions<AdmitOrRefuse, AppRequest>,
): AnyUpgraderOptions {
  const given = Object.fromEntries(
    Object.entries(own).filter(([, value]) => value !== undefined),
  ) as RouteOptions<AdmitOrRefuse, AppRequest>;
  const { checkOrigin, allowedOrigins, sameHost, ...others } = server;
  const replacesLists = given.checkOrigin !== undefined;
  const replacesCheck = (given.allowedOrigins ?? given.sameHost) !== undefined;
  const { authenticate = server.authenticate } = own;
  return {
    ...others,
    headers: undefined,
    checkOrigin: replacesCheck ? undefined : checkOrigin,
    allowedOrigins: replacesLists ? undefined : allowedOrigins,
    sameHost: replacesLists ? undefined : sameHost,
    ...given,
    authenticate: authenticate === false ? undefined : authenticate,
  };
}

/**
 * Runs the handler of a route for each of its connections, and observes the handler's promises: a
 * connection needs no observer of its own.
 */
export class HandlerRunner {
  /** The options of the route. */
  readonly plan: UpgraderPlan;
  readonly #handler: ConnHandler<unknown, NoParams, AppRequest>;
  readonly #work: PendingWork;
  readonly #route: string | undefined;

  constructor(
    handler: ConnHandler<unknown, NoParams, AppRequest>,
    work: PendingWork,
    plan: UpgraderPlan,
    route: string | undefined,
  ) {
    this.plan = plan;
    this.#handler = handler;
    this.#work = work;
    this.#route = route;
  }

  /**
   * Runs the handler. This is no `async` method: a suspended async method would keep the request in
   * memory as long as the connection lasts.
   */
  run(conn: Conn, req: AppRequest, context: HandlerContext<unknown>): void {
    // The handshake was pending when the upgrader began to close.
    if (this.#work.isClosing) return;
    const internals = internalsOf(conn);
    internals.connHandlerStarted();
    // Called without a receiver, so that `this` is undefined in the handler.
    const handler = this.#handler;
    try {
      const result = handler(conn, req, context);
      if (!isThenable(result)) return internals.connHandlerSettled();
      this.#work.handlerStarted();
      if (!internals.observeReceive(result, this)) this.#waitForPromise(conn, result);
    } catch (error) {
      this.plan.reporter.handlerFailed(conn, error, this.#route);
      internals.connHandlerSettled();
    }
  }

  #waitForPromise(conn: Conn, result: PromiseLike<unknown>): void {
    // A thenable of the application may settle twice or throw. A promise does neither.
    Promise.resolve(result).then(
      () => this.fulfilled(conn),
      (error: unknown) => this.rejected(conn, error),
    );
  }

  fulfilled(conn: Conn): void {
    internalsOf(conn).connHandlerSettled();
    this.#work.handlerSettled();
  }

  rejected(conn: Conn, error: unknown): void {
    this.plan.reporter.handlerFailed(conn, error, this.#route);
    internalsOf(conn).connHandlerSettled();
    this.#work.handlerSettled();
  }
}
