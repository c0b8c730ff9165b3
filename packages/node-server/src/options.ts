import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';
import {
  type Compression,
  type ConnSettings,
  connSettingNames,
  duration,
  resolveSettings,
} from '@ws/conn';
import type { HandshakeError } from './errors.ts';
import type { HeadersInput } from './headers.ts';
import { HostPolicy } from './hosts.ts';
import type { ClientAddress, LimitValues } from './limits.ts';
import { isOneToken, type Subprotocols } from './negotiate.ts';
import { type CheckOrigin, OriginPolicy } from './origin.ts';

/** What `authenticate` gives to refuse a request. */
export interface Refusal {
  /** The HTTP status, 300 to 599; `true` is 401. */
  readonly refuse: number | true;
  /** `WWW-Authenticate`, for example. */
  readonly headers?: HeadersInput | undefined;
  /** Plain text, unless `headers` has a Content-Type. Default: the status in words. */
  readonly body?: string | undefined;
}

/** What a handler gets of `authenticate`'s result: all that is no refusal. */
export type AuthOf<Result> = Exclude<Awaited<Result>, Refusal | false>;

/** What an `Upgrader` can be told. The settings of its Conns stand beside its own options. */
export interface UpgraderOptions<Result = undefined> extends ConnSettings {
  /** The subprotocols in the server's order of preference, or a function that picks one. Default: none. */
  readonly subprotocols?: Subprotocols | undefined;
  /**
   * Decides alone which origins may connect; may be async. Default: requests without an `Origin`, and those whose
   * origin names the host they were sent to.
   */
  readonly checkOrigin?: CheckOrigin | undefined;
  /** Origins that may connect besides the same host: `https://app.example.org`, `https://*.example.org`, `null`. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /**
   * The names that the server answers to, without a port: `example.org`, `*.example.org`, `127.0.0.1`, `[::1]`. Any other
   * `Host` gets 421. Default: any; a page that has made its own name point to this server counts as the same host then.
   * It guards upgrade requests: what answers other requests (`request` of `serve`, your own server) looks at `Host` itself.
   */
  readonly allowedHosts?: readonly string[] | undefined;
  /**
   * Decides who may connect. What it gives becomes the handler's `auth`, save a {@link Refusal}; `false` refuses too,
   * with 401. Throwing answers 500. May be async; `signal` is aborted when the client is gone or the time is up.
   */
  readonly authenticate?:
    | ((req: IncomingMessage, context: { signal: AbortSignal }) => Result)
    | undefined;
  /** From the request to its answer, in ms; then 503. `false`: no bound. Default: 10 s. */
  readonly handshakeTimeout?: number | false | undefined;
  /** How many handshakes may be pending; 503 beyond. Default: 1,024. */
  readonly maxHandshakes?: number | false | undefined;
  /** How many connections may be open, pending handshakes among them; 503 beyond. Default: no bound. */
  readonly maxConnections?: number | false | undefined;
  /** The same for each client, an IPv6 /64 being one; 429 beyond. Default: no bound. */
  readonly maxConnectionsPerAddress?: number | false | undefined;
  /** Which client a request comes from, behind a proxy for example. Default: the socket's remote address. */
  readonly clientAddress?: ClientAddress | undefined;
  /**
   * Answers a refused request in place of the default: writes a whole response to `socket`, with `Connection: close`.
   * The socket is ended behind it, and when the `handshakeTimeout` is over: after a 503 for that, as soon as it returns.
   * When it throws with nothing written the default is sent. `error.message` is for your log, it may name your routes.
   */
  readonly error?:
    | ((req: IncomingMessage, socket: Duplex, status: number, error: HandshakeError) => unknown)
    | undefined;
  /**
   * Is told what your own functions threw: the handler, `authenticate`, `checkOrigin`, ... A handler's error by which its
   * own connection has ended, to a read or a write, is not among it. Default: `process.emitWarning`.
   */
  readonly report?: ((error: unknown) => void) | undefined;
}

/** The names of {@link UpgraderOptions}. */
export const upgraderOptionNames: readonly (keyof UpgraderOptions)[] = [
  'subprotocols',
  'checkOrigin',
  'allowedOrigins',
  'allowedHosts',
  'authenticate',
  'handshakeTimeout',
  'maxHandshakes',
  'maxConnections',
  'maxConnectionsPerAddress',
  'clientAddress',
  'error',
  'report',
  ...connSettingNames,
];

/** Those of `options` that are an Upgrader's. */
export function pickUpgraderOptions<Result>(
  options: UpgraderOptions<Result>,
): UpgraderOptions<Result> {
  return Object.fromEntries(upgraderOptionNames.map((name) => [name, options[name]]));
}

/** {@link UpgraderOptions}, checked. */
export interface UpgraderPlan<Result> {
  readonly subprotocols: Subprotocols | undefined;
  readonly origins: OriginPolicy;
  readonly hosts: HostPolicy;
  readonly authenticate: UpgraderOptions<Result>['authenticate'];
  /** Milliseconds; Infinity for no bound. */
  readonly handshakeTimeout: number;
  readonly limits: LimitValues;
  readonly error: UpgraderOptions['error'];
  readonly report: (error: unknown) => void;
  readonly conn: ConnSettings;
  readonly compression: Compression | false;
  /** Of the transport: no more than its own default, since what waits there is not passed by pings. */
  readonly highWaterMark: number;
}

/** @throws TypeError, RangeError that names the option. */
export function checkUpgraderOptions<Result>(
  options: UpgraderOptions<Result>,
): UpgraderPlan<Result> {
  checkKeys('Upgrader', options, upgraderOptionNames);
  const { highWaterMark, compression } = resolveSettings(options, 'server');
  const { allowedOrigins, allowedHosts, checkOrigin } = options;
  const { authenticate, clientAddress, error, report } = options;
  for (const [name, value] of Object.entries({
    checkOrigin,
    authenticate,
    clientAddress,
    error,
    report,
  })) {
    if (value !== undefined) expect(name, value, typeof value === 'function', 'a function');
  }
  const origins = allowedOrigins ?? [];
  expect('allowedOrigins', origins, Array.isArray(origins), 'a list of origins');
  const listed = allowedHosts === undefined || Array.isArray(allowedHosts);
  expect('allowedHosts', allowedHosts, listed, 'a list of names');
  if (allowedOrigins !== undefined && checkOrigin !== undefined) {
    throw new TypeError('allowedOrigins: checkOrigin decides alone; give one of the two');
  }
  const settings = connSettingNames.map((name) => [name, options[name]]);
  return {
    subprotocols: checkSubprotocols(options.subprotocols),
    origins: new OriginPolicy(origins, checkOrigin),
    hosts: new HostPolicy(allowedHosts),
    authenticate,
    handshakeTimeout: duration('handshakeTimeout', options.handshakeTimeout, 10_000, true),
    limits: {
      maxHandshakes: count('maxHandshakes', options.maxHandshakes, 1024),
      maxConnections: count('maxConnections', options.maxConnections, Infinity),
      maxConnectionsPerAddress: count(
        'maxConnectionsPerAddress',
        options.maxConnectionsPerAddress,
        Infinity,
      ),
      clientAddress: clientAddress ?? ((req) => req.socket.remoteAddress),
    },
    error,
    report: report ?? warn,
    conn: Object.fromEntries(settings) as ConnSettings,
    compression,
    highWaterMark: Math.min(highWaterMark, 64 * 1024),
  };
}

/** Tells of an error when nobody else does. */
export function warn(error: unknown): void {
  // Not everything that can be thrown can be made a string.
  const told = error instanceof Error || typeof error === 'string' ? error : inspect(error);
  process.emitWarning(told);
}

function checkSubprotocols(value: Subprotocols | undefined): Subprotocols | undefined {
  if (value === undefined || typeof value === 'function') return value;
  expect('subprotocols', value, Array.isArray(value), 'a list of names or a function');
  for (const name of value) {
    if (isOneToken(name)) continue;
    throw new TypeError(`subprotocols: ${JSON.stringify(name)} is no token`);
  }
  return [...value];
}

function count(name: string, value: number | false | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  if (value === false) return Infinity;
  expect(name, value, typeof value === 'number', 'a number or false');
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`${name}: expected a whole number from 1 on, or false, got ${value}`);
}

/** @throws TypeError for options that are no object, or have a name that is not `known`. */
export function checkKeys(who: string, options: object, known: readonly string[]): void {
  expect(who, options, typeof options === 'object' && options !== null, 'an object of options');
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || known.includes(key)) continue;
    throw new TypeError(`${who}: unknown option ${key}; there are ${known.join(', ')}`);
  }
}

/** @throws TypeError that names the option when its value is not what it has to be. */
export function expect(name: string, value: unknown, holds: boolean, what: string): void {
  if (holds) return;
  const got = value === null ? 'null' : typeof value;
  throw new TypeError(`${name}: expected ${what}, got ${got}`);
}
