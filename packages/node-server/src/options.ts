import { totalmem } from 'node:os';
import process from 'node:process';
import { inspect } from 'node:util';
import type { RequestFacts, SameHost } from '@ws/codec';
import type { ConnSettings, RateLimit } from '@ws/conn';
import {
  bound,
  checkOptionNames,
  checkRate,
  connSettingNames,
  duration,
  optionHint,
  resolveSettings,
} from '@ws/conn/internal';
import { assertOption, transportOptions } from '@ws/node-io/internal';
import { type CloseOptions, type ClosePlan, checkCloseOptions } from './close-options.ts';
import type { AppRequest, AuthenticateContext, HandshakeRequest } from './conn-handler.ts';
import { ErrorReporter, type ServerReport } from './error-reporter.ts';
import type { HeaderPair } from './errors.ts';
import { type HeadersOption, type HeadersSource, optionHeaderPairs } from './headers.ts';
import { HostPolicy } from './policies/allowed-hosts.ts';
import type { AdmitOrRefuse, AuthOf } from './policies/authenticate.ts';
import {
  addressByOption,
  type ClientAddress,
  type FindAddress,
  forwardedAddress,
  type TrustProxy,
} from './policies/client-address.ts';
import type { ErrorHook } from './policies/error-hook.ts';
import { checkLifetime, type LifetimePlan, type MaxLifetime } from './policies/lifetime.ts';
import { checkLimits, type Limit } from './policies/limit-options.ts';
import type { LimitValues } from './policies/limits.ts';
import { type CheckOrigin, OriginPolicy } from './policies/origin.ts';
import { checkPace, type HandshakePace } from './policies/pace.ts';
import { isOneToken, type Subprotocols } from './policies/select-subprotocol.ts';

/** Options of an {@link Upgrader}, together with the settings of its connections. */
export interface UpgraderOptions<Result extends AdmitOrRefuse = undefined, Req = HandshakeRequest>
  extends ConnSettings {
  /**
   * The supported subprotocols in the server's order of preference, or a function that picks one.
   * Default: none.
   */
  readonly subprotocols?: Subprotocols<Req> | undefined;
  /**
   * Decides alone which origins may connect; may be async. Default: allows requests without an
   * `Origin`, and requests with the origin of the host that they were sent to.
   */
  readonly checkOrigin?: CheckOrigin<Req> | undefined;
  /**
   * Origins that may connect in addition to the same host: `https://app.example.org`,
   * `https://*.example.org`, `null`. Default: none. Not together with `checkOrigin`.
   */
  readonly allowedOrigins?: readonly string[] | undefined;
  /**
   * Which pages of the host that a request was sent to may connect: `true` for http and https,
   * `'https'` for https only, `false` for none. With `false`, of all requests with an `Origin` only
   * those of `allowedOrigins` pass; to admit every page, use `checkOrigin: () => true`. Default:
   * `true`. Not together with `checkOrigin`.
   */
  readonly sameHost?: SameHost | undefined;
  /**
   * The names that the server answers to, without a port: `example.org`, `*.example.org`,
   * `127.0.0.1`, `[::1]`. Any other `Host` gets 421. Default: all; a page whose own name resolves
   * to this server then counts as the same host. It guards upgrade requests only. The code that
   * answers other requests (`request` of `serve`, your own server) must check `Host` itself.
   */
  readonly allowedHosts?: readonly string[] | undefined;
  /**
   * Decides who may connect; may be async. Only `true` and the result of `admit` admit: the data of
   * `admit` becomes the handler's `auth`. `false`, null and undefined refuse with 401. A `Refusal`, as
   * of `refuse`, refuses with its own answer, `refuse(response)` with that of a Response. An Error refuses with 500 and goes to `report`, whether it is thrown or
   * returned. An Error with `expose: true` and a `status` from 400 to 499, as http-errors creates it,
   * refuses with that status instead, and its message is the body. Any other result is a mistake: 500
   * and a report.
   *
   * The context has the parsed `path`, `params`, `route` and `address` of the request. Its `signal`
   * is aborted when the client has disconnected or has half-closed, or when `handshakeTimeout` is
   * over. Settle then: until that time is over, the call counts against the limits.
   */
  readonly authenticate?:
    | ((req: Req, context: AuthenticateContext) => Result | PromiseLike<Result>)
    | undefined;
  /**
   * Headers of each accepting answer (a 101; over HTTP/2 a 200), `Set-Cookie` for example, or a
   * function that returns them for one request. It runs after `authenticate`; throwing refuses with
   * 500. Default: none.
   */
  readonly headers?: HeadersOption<AuthOf<Result>, Req> | undefined;
  /**
   * Bounds the messages and bytes of each connection's peer. `'wait'` slows the peer down, `'close'`
   * ends the connection with 1013. Default: no bound.
   */
  readonly rate?: RateLimit | undefined;
  /**
   * How long a connection may last. It then closes with 1001, so that its client dials again.
   * Default: no bound.
   */
  readonly maxLifetime?: MaxLifetime | undefined;
  /** How the method `close` closes, unless its argument says otherwise. */
  readonly close?: CloseOptions | undefined;
  /**
   * Handling of a path without a route. `404` refuses it. `'leave'` ignores the request, without
   * any check: another listener for 'upgrade' must answer it. Without one, the socket stays open,
   * and a reset by its client is an uncaught error. `serve` requires `server` and routes for
   * `'leave'`; an `Upgrader` without routes ignores the option. Default: `404`.
   */
  readonly unmatched?: 404 | 'leave' | undefined;
  /**
   * Milliseconds from the request to its answer, then 503; `false` for no bound. Default: 10,000.
   */
  readonly handshakeTimeout?: number | false | undefined;
  /**
   * Whether sockets read into one buffer of the thread, where Node can do that
   * (`readBufferState()` of `@ws/node-io`). `false` reads by 'data' events. Default: true on Linux,
   * false elsewhere, where it was not measured.
   */
  readonly readBuffer?: boolean | undefined;
  /**
   * Most pending handshakes; more get 503. A handshake is pending until client and application are
   * done, or `handshakeTimeout` is over. `false` for no bound. Default: 1,024.
   */
  readonly maxHandshakes?: number | false | undefined;
  /**
   * How many handshakes begin in a second, for a restart of which all clients return at once. Those that
   * come faster wait in their order, and are no pending handshakes then; others get 503, with a
   * Retry-After that spreads them. With `tls`, new sockets have a bucket of twice this before their TLS
   * handshake. In workers of `runCluster` of @ws/hub/cluster, each has its part. Default: no bound.
   */
  readonly handshakes?: HandshakePace | undefined;
  /** Most open connections and pending handshakes; more get 503. Default: `false`, no bound. */
  readonly maxConnections?: number | false | undefined;
  /**
   * Bounds what all connections of a user, or of an address, do together on this server. Each entry
   * counts for itself. Default: none.
   */
  readonly limits?: readonly Limit<AuthOf<Result>, Req>[] | undefined;
  /**
   * Bytes of writes that may wait in all connections together; `false` for no bound. Above it, a
   * connection has its share: this number divided by the connections that wait, at least
   * `highWaterMark`. A larger write rejects with a BackpressureError, and a peer that takes nothing is
   * closed with 1013. All hold at most twice this number, and `highWaterMark` for each connection that
   * waits. Default: an eighth of the memory that the process may use (`process.constrainedMemory()`,
   * else `os.totalmem()`), divided by the workers of `runCluster` of @ws/hub/cluster.
   */
  readonly maxTotalBufferedAmount?: number | false | undefined;
  /**
   * Your proxies, which may name the client in `X-Forwarded-For`: how many there are in a row, or
   * a `BlockList` of node:net with their addresses (the peer of a Unix socket counts as a proxy).
   * The header is read from the right, up to the first entry that is not one of your proxies or not an
   * IP address. Default: `false`, the client is the peer of the socket. Not together with
   * `clientAddress`.
   */
  readonly trustProxy?: TrustProxy | undefined;
  /**
   * Returns the client's address for `limits` and the handler. Default: the
   * address that `trustProxy` finds.
   */
  readonly clientAddress?: ClientAddress<Req> | undefined;
  /**
   * Returns the answer of a refused request, in place of the default. Without a result the default is
   * sent, as after an error and for a promise. `socket` only names the client: do not write to it.
   * `error.message` is for your log: it may name your routes.
   */
  readonly error?: ErrorHook<Req> | undefined;
  /**
   * Gets the errors of your functions (the handler, `authenticate`, `checkOrigin`, ...) and of
   * wrong arguments, for example the TypeError of a write. It does not get the end of a connection,
   * also when a handler rejects with it. Default: a process warning with the stack, at most one a
   * second for each kind of error.
   */
  readonly report?: ServerReport<Req> | undefined;
}

/** Options as the steps of a handshake see them, for requests from anywhere. */
export type AnyUpgraderOptions = UpgraderOptions<AdmitOrRefuse, AppRequest>;

/** The names of {@link UpgraderOptions}. */
export const upgraderOptionNames: readonly (keyof UpgraderOptions)[] = [
  'subprotocols',
  'checkOrigin',
  'allowedOrigins',
  'sameHost',
  'allowedHosts',
  'authenticate',
  'headers',
  'rate',
  'maxLifetime',
  'close',
  'unmatched',
  'handshakeTimeout',
  'readBuffer',
  'maxHandshakes',
  'handshakes',
  'maxConnections',
  'limits',
  'maxTotalBufferedAmount',
  'trustProxy',
  'clientAddress',
  'error',
  ...connSettingNames,
];

/** Returns the options of `options` that belong to an Upgrader. */
export function pickUpgraderOptions<Result extends AdmitOrRefuse, Req>(
  options: UpgraderOptions<Result, Req>,
): UpgraderOptions<Result, Req> {
  return Object.fromEntries(upgraderOptionNames.map((name) => [name, options[name]]));
}

type CountName = 'maxHandshakes' | 'maxConnections' | 'maxTotalBufferedAmount';

/** The callbacks of `serveRaw`, as the steps of a handshake call them. */
export type HeadChecks = {
  /** @throws HandshakeError for the first callback that refuses. */
  checkHead(facts: RequestFacts): void;
  /**
   * @returns Headers for the 101.
   * @throws HandshakeError when the handshake must not continue.
   */
  beforeUpgrade(facts: RequestFacts): readonly HeaderPair[];
};

/** {@link UpgraderOptions}, checked. */
export interface UpgraderPlan {
  readonly subprotocols: Subprotocols<AppRequest> | undefined;
  readonly origins: OriginPolicy;
  readonly hosts: HostPolicy;
  readonly authenticate: AnyUpgraderOptions['authenticate'];
  /** The server's, then the route's. */
  readonly headers: readonly HeadersSource[];
  /** Undefined for requests of node:http. */
  readonly callbacks: HeadChecks | undefined;
  readonly rate: ReturnType<typeof checkRate> | undefined;
  readonly maxLifetime: LifetimePlan | undefined;
  readonly close: ClosePlan;
  /** Milliseconds; Infinity for no bound. */
  readonly handshakeTimeout: number;
  readonly readBuffer: boolean;
  readonly limits: LimitValues;
  /** Bytes; Infinity for no bound. */
  readonly maxTotalBufferedAmount: number;
  readonly findAddress: FindAddress;
  /** Whether an option needs the address of each client. */
  readonly needsAddress: boolean;
  readonly unmatched: 404 | 'leave';
  readonly error: ErrorHook<AppRequest> | undefined;
  /** Reports to the option `report`. */
  readonly reporter: ErrorReporter;
  /** The options of every connection. */
  readonly settings: ReturnType<typeof resolveSettings>;
  /** The transport's, in bytes. */
  readonly highWaterMark: number;
}

/**
 * @param base - The callbacks of a raw upgrade; for a route the headers of its server, which come
 *   before its own.
 * @throws TypeError or RangeError that names the option.
 */
export function checkUpgraderOptions(
  options: AnyUpgraderOptions,
  base: Partial<Pick<UpgraderPlan, 'headers' | 'callbacks'>> = {},
): UpgraderPlan {
  checkOptionNames('Upgrader', options, upgraderOptionNames, 'ignore', optionHint);
  const settings = resolveSettings(options, 'server');
  const { allowedOrigins, allowedHosts, checkOrigin, sameHost = true } = options;
  const { authenticate, clientAddress, error, report } = options;
  for (const [name, value] of Object.entries({
    checkOrigin,
    authenticate,
    clientAddress,
    error,
    report,
  })) {
    if (value !== undefined) assertOption(name, value, typeof value === 'function', 'a function');
  }
  const origins = allowedOrigins ?? [];
  assertOption('allowedOrigins', origins, Array.isArray(origins), 'a list of origins');
  const listed = allowedHosts === undefined || Array.isArray(allowedHosts);
  assertOption('allowedHosts', allowedHosts, listed, 'a list of names');
  if (allowedOrigins !== undefined && checkOrigin !== undefined) {
    throw new TypeError('allowedOrigins: cannot be combined with checkOrigin; set one of the two');
  }
  if (sameHost !== 'https' && typeof sameHost !== 'boolean') {
    throw new TypeError(`sameHost: expected true, false or 'https', got ${inspect(sameHost)}`);
  }
  if (options.sameHost !== undefined && checkOrigin !== undefined) {
    throw new TypeError('sameHost: cannot be combined with checkOrigin; set one of the two');
  }
  const { unmatched = 404, trustProxy = false, rate, maxLifetime, handshakes } = options;
  if (trustProxy !== false && clientAddress !== undefined) {
    throw new TypeError('trustProxy: cannot be combined with clientAddress; set one of the two');
  }
  if (unmatched !== 404 && unmatched !== 'leave') {
    throw new TypeError(`unmatched: expected 404 or 'leave', got ${inspect(unmatched)}`);
  }
  const count = (name: CountName, fallback: number): number => {
    const { [name]: value } = options;
    return value === undefined ? fallback : bound(name, value);
  };
  const maxHandshakes = count('maxHandshakes', 1024);
  const entries = checkLimits(options.limits);
  return {
    subprotocols: checkSubprotocols(options.subprotocols),
    origins: new OriginPolicy(origins, checkOrigin, sameHost),
    hosts: new HostPolicy(allowedHosts),
    authenticate,
    headers: [...(base.headers ?? []), ...checkHeaders(options.headers)],
    callbacks: base.callbacks,
    rate: rate === undefined ? undefined : checkRate(rate),
    maxLifetime: maxLifetime === undefined ? undefined : checkLifetime(maxLifetime),
    close: checkCloseOptions(options.close),
    unmatched,
    handshakeTimeout: duration('handshakeTimeout', options.handshakeTimeout, 10_000, true),
    limits: {
      maxHandshakes,
      maxConnections: count('maxConnections', Infinity),
      pace: handshakes === undefined ? undefined : checkPace(handshakes, workers(), maxHandshakes),
      entries,
    },
    maxTotalBufferedAmount: count('maxTotalBufferedAmount', defaultTotal()),
    findAddress:
      clientAddress === undefined ? forwardedAddress(trustProxy) : addressByOption(clientAddress),
    needsAddress:
      entries.some(({ by }) => by === 'address') ||
      trustProxy !== false ||
      clientAddress !== undefined,
    error,
    reporter: new ErrorReporter(report),
    settings,
    ...transportOptions(options.readBuffer, settings.highWaterMark),
  };
}

/** An eighth of the memory that the process may use, in bytes. */
function defaultTotal(): number {
  // Without a bound of a container it is 0, or larger than the machine. Other runtimes lack it.
  const constrained = process.constrainedMemory?.() || Infinity;
  return Math.floor(Math.min(constrained, totalmem()) / 8 / workers());
}

/** Number of processes that share a machine and a port. `runCluster` of @ws/hub/cluster sets it. */
function workers(): number {
  return Number(process.env[`WS_WORKERS_${process.ppid}`]) || 1;
}

function checkHeaders(value: AnyUpgraderOptions['headers']): readonly HeadersSource[] {
  if (value === undefined) return [];
  return [typeof value === 'function' ? value : optionHeaderPairs(value)];
}

function checkSubprotocols(
  value: Subprotocols<AppRequest> | undefined,
): Subprotocols<AppRequest> | undefined {
  if (value === undefined || typeof value === 'function') return value;
  assertOption('subprotocols', value, Array.isArray(value), 'a list of names or a function');
  for (const name of value) {
    if (isOneToken(name)) continue;
    throw new TypeError(`subprotocols: ${JSON.stringify(name)} is not a token`);
  }
  return [...value];
}
