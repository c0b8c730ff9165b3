import { LOGINS } from './errors.ts';
import { badType, boundOf, whole } from './validate.ts';
import type { WebSocketConstructor, WebSocketStreamConstructor } from './web-types.ts';

/** Bounds of a `BrowserConn`: the options of `fromWebSocket`. */
export interface BrowserConnOptions {
  /** The longest message that is accepted, in bytes; `false` for no limit. Default: 16 MiB. */
  readonly readLimit?: number | false | undefined;
  /** The close code after a longer message, 3000 to 4999. Default: 3009. */
  readonly limitCloseCode?: number | undefined;
  /**
   * The most bytes of messages that wait for a read, with 320 for each message; `false` for no
   * bound. More close the connection with 3008 and a BackpressureError: a page cannot pause a
   * WebSocket. A WebSocketStream is paused instead. Default: 16 MiB.
   */
  readonly maxQueuedBytes?: number | false | undefined;
  /**
   * A write resolves below this many buffered bytes; `false` for at once. Default: 64 KiB.
   */
  readonly highWaterMark?: number | false | undefined;
  /**
   * The most bytes that wait to be sent, with 320 for each message that waits for a socket that
   * connects; `false` for no bound. A write that exceeds it rejects with a BackpressureError. An
   * empty queue accepts one message of any size. Default: 16 MiB.
   */
  readonly maxBufferedAmount?: number | false | undefined;
}

/** Options of `dial`. */
export interface DialOptions extends BrowserConnOptions {
  /** To offer, in order of preference (RFC 6455, section 1.9). Default: none. */
  readonly subprotocols?: string | readonly string[] | undefined;
  /** Ends the dial when it aborts; no effect after the dial has settled. */
  readonly signal?: AbortSignal | undefined;
  /** The time of the dial in ms; `false` for no bound. Default: 45,000. */
  readonly handshakeTimeout?: number | false | undefined;
  /**
   * `'auto'` uses WebSocketStream where the browser has it: a page that does not read stops the
   * server's writes. `false` always uses WebSocket. Default: `false`, or `'auto'` with the option
   * `WebSocketStream`. In Chromium 156 a page crashes when a connection breaks while a write to a
   * WebSocketStream waits.
   */
  readonly stream?: 'auto' | false | undefined;
  /** The class to use. Default: the global one. */
  readonly WebSocket?: WebSocketConstructor | undefined;
  /** The class to use. Default: the global one, if any. */
  readonly WebSocketStream?: WebSocketStreamConstructor | undefined;
}

/** Checked {@link BrowserConnOptions}; Infinity for no bound. */
export type BrowserConnSettings = { -readonly [Name in keyof BrowserConnOptions]-?: number };

const MIB = 2 ** 20;
const CONN_DEFAULTS = {
  readLimit: 16 * MIB,
  maxQueuedBytes: 16 * MIB,
  highWaterMark: 2 ** 16,
  maxBufferedAmount: 16 * MIB,
  limitCloseCode: 3009,
};

export const CONN_OPTION_NAMES: readonly string[] = Object.keys(CONN_DEFAULTS);

export const DIAL_OPTION_NAMES: readonly string[] = [
  ...CONN_OPTION_NAMES,
  'subprotocols',
  'signal',
  'handshakeTimeout',
  'stream',
  'WebSocket',
  'WebSocketStream',
];

/** What to use instead of options that a page cannot have. */
export const DIAL_HINT: string = `; the browser decides about headers, proxy, TLS, compression and pings; to log in, ${LOGINS}`;

/** @throws TypeError, RangeError that names the option. */
export function checkConnOptions(options: BrowserConnOptions): BrowserConnSettings {
  const settings: BrowserConnSettings = { ...CONN_DEFAULTS };
  for (const name of Object.keys(settings) as (keyof BrowserConnSettings)[]) {
    settings[name] = boundOf(name, options[name] ?? settings[name]);
  }
  whole('limitCloseCode', settings.limitCloseCode, 3000, 4999);
  return settings;
}

/** Checked {@link DialOptions}. */
export interface DialPlan extends BrowserConnSettings {
  readonly subprotocols: string[];
  readonly handshakeTimeout: number | undefined;
  readonly WebSocket: WebSocketConstructor | undefined;
  readonly WebSocketStream: WebSocketStreamConstructor | undefined;
}

/**
 * Checks the options of a dial, without their names and `signal`.
 *
 * @throws TypeError, RangeError that names the option.
 */
export function checkDialOptions(options: DialOptions): DialPlan {
  const web = globalThis as Pick<DialOptions, 'WebSocket' | 'WebSocketStream'>;
  const {
    WebSocket = web.WebSocket,
    WebSocketStream,
    stream = WebSocketStream !== undefined && 'auto',
    subprotocols = [],
    handshakeTimeout = 45_000,
  } = options;
  if (!['auto', false].includes(stream)) throw badType("stream: expected 'auto' or false", stream);
  const protocols: string[] = [subprotocols].flat();
  if (protocols.some((each) => typeof each !== 'string')) {
    throw badType('subprotocols: expected strings', subprotocols);
  }
  const plan = {
    ...checkConnOptions(options),
    // The class checks their characters.
    subprotocols: protocols,
    handshakeTimeout:
      handshakeTimeout === false ? undefined : whole('handshakeTimeout', handshakeTimeout),
    WebSocket,
    WebSocketStream: stream === 'auto' ? (WebSocketStream ?? web.WebSocketStream) : undefined,
  };
  if (typeof (plan.WebSocketStream ?? WebSocket) === 'function') return plan;
  throw new TypeError('dial: no global WebSocket; pass a class as the option WebSocket');
}
