import type { IncomingMessage } from 'node:http';
import type { CompressionOptions, Heartbeat } from '@ws/conn';
import {
  bound,
  checkOptionNames,
  duration,
  optionHint,
  resolveSettings,
  whole,
} from '@ws/conn/internal';
import type { ProxyOption } from '@ws/node-client';
import { checkProxy } from '@ws/node-client/internal';
import { assertOption } from '@ws/node-io/internal';
import type { AdmitOrRefuse, AuthOf, UpgraderOptions } from '@ws/node-server';
import { checkUpgraderOptions, type UpgradeRequest } from '@ws/node-server/internal';
import type { Forwarded } from './handshake/forwarded.ts';
import type { Balance, PoolPlan, ProxyContext } from './targets/target-pool.ts';
import type { Transform } from './tunnel/message-link.ts';

/** How bytes pass. */
export type Mode = 'frames' | 'bytes' | 'messages';

/** The options that a proxy has in common with an `Upgrader`. */
const SHARED = [
  'authenticate',
  'maxConnections',
  'limits',
  'maxHandshakes',
  'handshakeTimeout',
  'trustProxy',
  'clientAddress',
  'allowedHosts',
  'report',
] as const;
type Shared = (typeof SHARED)[number];

/** Options of {@link createProxy}. */
export interface ProxyOptions<Result extends AdmitOrRefuse = AdmitOrRefuse>
  extends Pick<UpgraderOptions<Result>, Shared> {
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
   * answers 500. `auth` of the context is what `authenticate` has admitted.
   */
  readonly director?:
    | ((req: IncomingMessage, headers: Headers, context: ProxyContext<AuthOf<Result>>) => unknown)
    | undefined;
  /** The last word on what the client gets. It changes `headers` in place. Synchronous. */
  readonly response?: ((headers: Headers, req: IncomingMessage) => void) | undefined;
  /**
   * The Host header for the target: the client's, so that the target can check the origin, or the
   * target's own name, which servers of many names need. Default: `client`.
   */
  readonly host?: 'client' | 'target' | undefined;
  /** The proxy on the way to the targets, as for `Dialer`. Default: false. */
  readonly proxy?: ProxyOption | undefined;
  /**
   * WebSockets over HTTP/2 (RFC 8441) to the targets, as for `Dialer`: `auto` asks wss targets for it,
   * and `only` requires it, also of ws targets. The clients of a target share sessions. Default: false.
   */
  readonly http2?: false | 'auto' | 'only' | undefined;
  /** The headers with the client's address. Default: `x`, for `X-Forwarded-*`. */
  readonly forwarded?: Forwarded | undefined;
  /**
   * Whether the peer of the socket is a proxy of yours, whose `X-Forwarded-*` and `Forwarded` are
   * true. Those of other peers are removed. Only `true` counts. Default: false.
   */
  readonly trust?: false | ((req: IncomingMessage) => boolean) | undefined;
  /** Chooses between targets. Default: `round-robin`. */
  readonly balance?: Balance<AuthOf<Result>> | undefined;
  /** Requests with the same key go to the same target while that is up. Default: none. */
  readonly sticky?:
    | ((req: IncomingMessage, context: ProxyContext<AuthOf<Result>>) => string | undefined)
    | undefined;
  /** The most targets that are tried for one request. Default: 2. */
  readonly attempts?: number | undefined;
  /**
   * Milliseconds for which a target is not asked after 3 failures in a row, while another one is up.
   * After that time one request in each `cooldown` asks it, until it answers. While none is up, all
   * are asked, each by one dial at a time. A failure is:
   *
   * - a connection that the target does not accept;
   * - a `handshakeTimeout`, if the target had at least half of that time, has neither answered nor
   *   failed since the request, and another target is up. Requests that wait together count once. A
   *   path that the target has never answered counts only while it has answered nothing at all.
   *
   * Nothing else counts, since a client can cause it. Default: 10 s.
   */
  readonly cooldown?: number | undefined;
  /** Milliseconds until a target must have accepted the connection. Default: 5 s. */
  readonly connectTimeout?: number | undefined;
  /**
   * Milliseconds in which the proxy reads no byte from either side. Bytes that wait for a slow peer do
   * not count: choose more time than the peer needs to take `highWaterMark` bytes. Default: 5 min.
   */
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

type Check = (name: string, value: unknown) => unknown;

/** An option that other code checks. */
const given: Check = (_, value) => value;
const aFunction: Check = (name, value) => {
  if (value !== undefined) assertOption(name, value, typeof value === 'function', 'a function');
  return value;
};
const ms =
  (fallback: number, canBeOff: boolean): Check =>
  (name, value) =>
    duration(name, value, fallback, canBeOff);

/** The first of `allowed` is the default. */
function oneOf(...allowed: readonly unknown[]): Check {
  return (name, value = allowed[0]) => {
    if (allowed.includes(value)) return value;
    const list = allowed.map((each) => JSON.stringify(each)).join(', ');
    throw new TypeError(`${name}: expected one of ${list}, got ${JSON.stringify(value)}`);
  };
}

const balance = oneOf('round-robin', 'least', 'two-choices');

/** The check and the default of each other option. */
const CHECKS: Readonly<Record<Exclude<keyof ProxyOptions, Shared>, Check>> = {
  mode: oneOf('frames', 'bytes', 'messages'),
  director: aFunction,
  response: aFunction,
  host: oneOf('client', 'target'),
  proxy: (_, value = false) => checkProxy(value),
  http2: oneOf(false, 'auto', 'only'),
  forwarded: oneOf('x', 'rfc7239', 'both', false),
  trust: (name, value = false) => {
    const isValid = value === false || typeof value === 'function';
    assertOption(name, value, isValid, 'false or a function');
    return value;
  },
  balance: (name, value) => (typeof value === 'function' ? value : balance(name, value)),
  sticky: aFunction,
  attempts: (name, value = 2) => whole(name, value),
  cooldown: ms(10_000, false),
  connectTimeout: ms(5_000, false),
  idleTimeout: ms(300_000, true),
  maxMessageSize: given,
  highWaterMark: given,
  heartbeat: given,
  checkOrigin: given,
  transform: (name, value = {}) => {
    assertOption(name, value, typeof value === 'object' && value !== null, 'an object');
    checkOptionNames(name, value as object, ['toTarget', 'toClient'], 'ignore');
    return value;
  },
  compression: given,
};

/** Options that have a value of their type in any case. */
type Defaulted = {
  readonly [Name in
    | 'mode'
    | 'host'
    | 'http2'
    | 'forwarded'
    | 'trust'
    | 'attempts'
    | 'connectTimeout'
    | 'transform']: NonNullable<ProxyOptions[Name]>;
};

/** Options of `createProxy`, checked. Times are in milliseconds. */
export interface CheckedOptions extends PoolPlan, Defaulted {
  readonly director: ProxyOptions['director'];
  readonly response: ProxyOptions['response'];
  readonly proxy: ReturnType<typeof checkProxy>;
  readonly idleTimeout: number;
  /** The checks that an Upgrader makes, and the settings of the connection to a client. */
  readonly upgrader: UpgradeRequest['plan'];
  /** The settings of the connection to a target. */
  readonly client: ReturnType<typeof resolveSettings>;
}

/** The default of `maxMessageSize` with `transform`, which gets whole messages. In bytes. */
const WHOLE_MESSAGE = 16 * 1024 * 1024;

/** @throws TypeError or RangeError that names the option. */
export function checkProxyOptions(options: ProxyOptions): CheckedOptions {
  checkOptionNames(
    'createProxy',
    options,
    [...Object.keys(CHECKS), ...SHARED],
    'ignore',
    optionHint,
  );
  const checked = Object.fromEntries(
    Object.entries(CHECKS).map(([name, check]) => {
      return [name, check(name, options[name as keyof ProxyOptions])];
    }),
  ) as unknown as CheckedOptions;
  checkTransform(checked, options);
  const { checkOrigin = false, transform, compression, heartbeat = false } = options;
  const { highWaterMark, report } = options;
  const { maxMessageSize = transform === undefined ? false : WHOLE_MESSAGE } = options;
  bound('maxMessageSize', maxMessageSize);
  const settings = { readLimit: maxMessageSize, compression, heartbeat, highWaterMark, report };
  const upgrader = checkUpgraderOptions({
    ...Object.fromEntries(SHARED.map((name) => [name, options[name]])),
    ...settings,
    checkOrigin:
      checkOrigin === false ? () => true : checkOrigin === true ? undefined : checkOrigin,
  });
  if (upgrader.limits.entries.some(({ rate }) => rate !== undefined)) {
    throw new TypeError('limits.rate: the messages pass unread; set it on the target');
  }
  return { ...checked, upgrader, client: resolveSettings(settings, 'client') };
}

function checkTransform({ mode, transform }: CheckedOptions, { compression }: ProxyOptions): void {
  for (const name of ['toTarget', 'toClient'] as const) {
    aFunction(`transform.${name}`, transform[name]);
    if (transform[name] === undefined || mode === 'messages') continue;
    throw new TypeError("transform: only the mode 'messages' knows messages; set that mode");
  }
  if (compression === undefined || compression === false || mode === 'messages') return;
  throw new TypeError(
    "compression: client and target agree on it themselves; only the mode 'messages' can set it",
  );
}
