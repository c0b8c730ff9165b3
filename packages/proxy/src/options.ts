import type { IncomingMessage } from 'node:http';
import type { CompressionOptions, Heartbeat } from '@ws/conn';
import {
  bound,
  checkOptionNames,
  duration,
  resolveSettings,
  type Settings,
  whole,
} from '@ws/conn/internal';
import { assertOption } from '@ws/http-shared';
import type { ProxyOption } from '@ws/node-client';
import { checkProxy, type ProxyPlan } from '@ws/node-client/internal';
import type { UpgraderOptions } from '@ws/node-server';
import { checkUpgraderOptions, type UpgraderPlan } from '@ws/node-server/internal';
import type { Forwarded } from './handshake/forwarded.ts';
import type { Balance, PoolPlan } from './targets/target-pool.ts';
import type { Transform } from './tunnel/message-link.ts';
import type { TunnelPlan } from './tunnel/tunnel.ts';

/** How bytes pass. */
export type Mode = 'frames' | 'bytes' | 'messages';

/** The options that a proxy has in common with an `Upgrader`. */
type FromUpgrader = Pick<
  UpgraderOptions<unknown>,
  | 'authenticate'
  | 'maxConnections'
  | 'maxConnectionsPerAddress'
  | 'maxHandshakes'
  | 'handshakeTimeout'
  | 'trustProxy'
  | 'clientAddress'
  | 'allowedHosts'
  | 'report'
>;

/** Options of {@link createProxy}. */
export interface ProxyOptions extends FromUpgrader {
  /**
   * - `frames`: bytes pass untouched, and the proxy knows where frames begin. It closes with a
   *   reason when one side dies, counts messages and bounds their size;
   * - `bytes`: bytes pass untouched and unread;
   * - `messages`: two connections, each with its own extensions.
   *
   * Default: `frames`.
   */
  readonly mode?: Mode | undefined;
  /**
   * The last word on what the target gets. It changes `headers` in place and may be async. An error
   * answers 500.
   */
  readonly director?: ((req: IncomingMessage, headers: Headers) => unknown) | undefined;
  /** The last word on what the client gets. It changes `headers` in place. Synchronous. */
  readonly response?: ((headers: Headers, req: IncomingMessage) => void) | undefined;
  /**
   * The Host header for the target: the client's, so that the target can check the origin, or the
   * target's own name, which servers of many names need. Default: `client`.
   */
  readonly host?: 'client' | 'target' | undefined;
  /** The proxy on the way to the targets, as for `Dialer`. Default: false. */
  readonly proxy?: ProxyOption | undefined;
  /** The headers with the client's address. Default: `x`, for `X-Forwarded-*`. */
  readonly forwarded?: Forwarded | undefined;
  /**
   * Whether the peer of the socket is a proxy of yours, whose `X-Forwarded-*` and `Forwarded` are
   * true. Those of other peers are removed. Only `true` counts. Default: false.
   */
  readonly trust?: false | ((req: IncomingMessage) => boolean) | undefined;
  /** Chooses between targets. Default: `round-robin`. */
  readonly balance?: Balance | undefined;
  /** Requests with the same key go to the same target while that is up. Default: none. */
  readonly sticky?: ((req: IncomingMessage) => string | undefined) | undefined;
  /** The most targets that are tried for one request. Default: 2. */
  readonly attempts?: number | undefined;
  /** Milliseconds for which a target that failed 3 times in a row is not asked. Default: 10 s. */
  readonly cooldown?: number | undefined;
  /** Milliseconds until a target must have accepted the connection. Default: 5 s. */
  readonly connectTimeout?: number | undefined;
  /** Milliseconds without a byte in both directions. Default: 5 min. */
  readonly idleTimeout?: number | false | undefined;
  /**
   * The largest message in bytes, as on the wire; a larger one closes with 1009. No effect in the
   * mode `bytes`. Default: false; 16 MiB with `transform`, which gets whole messages.
   */
  readonly maxMessageSize?: number | false | undefined;
  /**
   * Bytes that wait for a slow peer before the proxy stops reading the other. Node's own mark, 16 or
   * 64 KiB, is the least. Default: 64 KiB.
   */
  readonly highWaterMark?: number | undefined;
  /** Pings a side that is quiet. No effect in the mode `bytes`. Default: false. */
  readonly heartbeat?: false | Heartbeat | undefined;
  /** As for `Upgrader`; true is its default rule. Default: false, the target decides. */
  readonly checkOrigin?: boolean | UpgraderOptions['checkOrigin'] | undefined;
  /** Changes messages, in the mode `messages` only. Default: none. */
  readonly transform?: Transform | undefined;
  /** Compression of each side on its own, in the mode `messages` only. Default: false. */
  readonly compression?: boolean | CompressionOptions['mode'] | CompressionOptions | undefined;
}

const OPTION_NAMES: readonly (keyof ProxyOptions)[] = [
  'mode',
  'director',
  'response',
  'host',
  'proxy',
  'forwarded',
  'trust',
  'balance',
  'sticky',
  'attempts',
  'cooldown',
  'connectTimeout',
  'idleTimeout',
  'maxMessageSize',
  'highWaterMark',
  'heartbeat',
  'checkOrigin',
  'transform',
  'compression',
  'authenticate',
  'maxConnections',
  'maxConnectionsPerAddress',
  'maxHandshakes',
  'handshakeTimeout',
  'trustProxy',
  'clientAddress',
  'allowedHosts',
  'report',
];

/** Options of `createProxy`, checked. */
export interface CheckedOptions extends PoolPlan {
  readonly mode: Mode;
  readonly director: ProxyOptions['director'];
  readonly response: ProxyOptions['response'];
  readonly host: 'client' | 'target';
  readonly proxy: ProxyPlan;
  readonly forwarded: Forwarded;
  readonly trust: false | ((req: IncomingMessage) => boolean);
  readonly attempts: number;
  readonly cooldown: number;
  readonly connectTimeout: number;
  /** The checks that an Upgrader makes too. */
  readonly upgrader: UpgraderPlan;
  readonly checksOrigin: boolean;
  readonly tunnel: TunnelPlan;
  readonly transform: Transform;
  /** Of both connections in the mode `messages`. */
  readonly server: Settings;
  readonly client: Settings;
}

/** @throws TypeError or RangeError that names the option. */
export function checkProxyOptions(options: ProxyOptions): CheckedOptions {
  checkOptionNames('createProxy', options, OPTION_NAMES, 'ignore', {
    target: 'it is the first argument of createProxy',
    targets: 'they are the first argument of createProxy',
    changeOrigin: "use host: 'target'",
    xfwd: 'use forwarded',
    headers: 'use director, or headers of a target',
    tls: 'it is an option of each target',
  });
  const { mode = 'frames', transform = {}, compression, heartbeat = false } = options;
  oneOf('mode', mode, ['frames', 'bytes', 'messages']);
  const { host = 'client', forwarded = 'x', balance = 'round-robin', trust = false } = options;
  oneOf('host', host, ['client', 'target']);
  oneOf('forwarded', forwarded, ['x', 'rfc7239', 'both', false]);
  if (typeof balance !== 'function') {
    oneOf('balance', balance, ['round-robin', 'least', 'two-choices']);
  }
  if (trust !== false) isFunction('trust', trust, 'false or a function');
  for (const name of ['director', 'response', 'sticky'] as const) isFunction(name, options[name]);
  checkTransform(mode, transform, compression);
  const { checkOrigin = false } = options;
  const settings = connSettings(options, heartbeat);
  return {
    mode,
    director: options.director,
    response: options.response,
    host,
    proxy: checkProxy(options.proxy ?? false),
    forwarded,
    trust,
    balance,
    sticky: options.sticky,
    attempts: whole('attempts', options.attempts ?? 2),
    cooldown: duration('cooldown', options.cooldown, 10_000, false),
    connectTimeout: duration('connectTimeout', options.connectTimeout, 5_000, false),
    upgrader: upgraderPlan(options, checkOrigin),
    checksOrigin: checkOrigin !== false,
    tunnel: tunnelPlan(options, heartbeat, settings),
    transform,
    server: resolveSettings(settings, 'server'),
    client: resolveSettings(settings, 'client'),
  };
}

function upgraderPlan(
  options: ProxyOptions,
  checkOrigin: boolean | UpgraderOptions['checkOrigin'],
): UpgraderPlan {
  const shared = Object.fromEntries(UPGRADER_NAMES.map((name) => [name, options[name]]));
  const own = typeof checkOrigin === 'boolean' ? {} : { checkOrigin };
  return checkUpgraderOptions({ ...shared, ...own });
}

const UPGRADER_NAMES: readonly (keyof FromUpgrader)[] = [
  'authenticate',
  'maxConnections',
  'maxConnectionsPerAddress',
  'maxHandshakes',
  'handshakeTimeout',
  'trustProxy',
  'clientAddress',
  'allowedHosts',
  'report',
];

/** The default of `maxMessageSize` with `transform`, which gets whole messages. In bytes. */
const WHOLE_MESSAGE = 16 * 1024 * 1024;

/** The settings of the two connections in the mode `messages`. */
function connSettings(options: ProxyOptions, heartbeat: false | Heartbeat): object {
  const { compression, highWaterMark, report } = options;
  const { maxMessageSize = options.transform === undefined ? false : WHOLE_MESSAGE } = options;
  bound('maxMessageSize', maxMessageSize);
  return { readLimit: maxMessageSize, compression, heartbeat, highWaterMark, report };
}

function tunnelPlan(
  options: ProxyOptions,
  heartbeat: false | Heartbeat,
  settings: object,
): TunnelPlan {
  const { readLimit, highWaterMark } = resolveSettings(settings, 'server');
  const { interval = 20_000, timeout = 20_000 } = heartbeat === false ? {} : heartbeat;
  return {
    highWaterMark,
    maxMessageSize: readLimit,
    idleTimeout: duration('idleTimeout', options.idleTimeout, 300_000, true),
    heartbeat: heartbeat === false ? undefined : { interval, timeout },
  };
}

function checkTransform(mode: Mode, transform: Transform, compression: unknown): void {
  assertOption(
    'transform',
    transform,
    typeof transform === 'object' && transform !== null,
    'an object',
  );
  for (const name of ['toTarget', 'toClient'] as const) {
    isFunction(`transform.${name}`, transform[name]);
    if (transform[name] === undefined || mode === 'messages') continue;
    throw new TypeError("transform: only the mode 'messages' knows messages; set that mode");
  }
  if (compression === undefined || compression === false || mode === 'messages') return;
  throw new TypeError(
    "compression: client and target agree on it themselves; only the mode 'messages' can set it",
  );
}

function isFunction(name: string, value: unknown, expected = 'a function'): void {
  if (value !== undefined) assertOption(name, value, typeof value === 'function', expected);
}

function oneOf(name: string, value: unknown, allowed: readonly unknown[]): void {
  if (allowed.includes(value)) return;
  const list = allowed.map((each) => JSON.stringify(each)).join(', ');
  throw new TypeError(
    `${name}: expected one of ${list}, got ${JSON.stringify(value) ?? 'undefined'}`,
  );
}
