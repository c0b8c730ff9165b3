import type { BorrowedMessage, ConnLike, MessageData } from '@ws/conn';
import { badType, checkNames, whole } from '@ws/conn/internal';
import { CAUSE_HIDDEN, LOGINS } from './errors.ts';
import {
  type BrowserConnOptions,
  type BrowserConnSettings,
  CONN_OPTION_NAMES,
  checkConnOptions,
  type Side,
  type Turns,
} from './options.ts';
import { LONGEST_TIMER, nothing, report } from './promises.ts';
import type { WebSocketConstructor } from './web-types.ts';

/**
 * How a page finds a dead connection: the option `alive`. A message of the peer shows that the
 * connection lives.
 */
export interface AliveOptions {
  /**
   * Returns the message to send after a silence, and when the page wakes: when the page is
   * visible after 2 s or more, is online again, comes back from the back/forward cache or is no longer frozen. The
   * server must answer with any message. If this function fails, its error is reported, and nothing
   * is sent.
   */
  readonly ask: () => MessageData;
  /**
   * Returns whether a message is an answer, which readers do not get. Default: readers get every
   * message. If this function fails, its error is reported, and readers get the message.
   */
  readonly answer?: ((message: BorrowedMessage) => boolean) | undefined;
  /** The silence in ms after which the page asks. Default: 25,000. */
  readonly after?: number | undefined;
  /**
   * Time in ms from a question to the next message. Without a message the connection ends with 1006
   * and a TimeoutError. The time must suffice for the largest message of the server, because a page
   * does not see parts of a message. After such an end the next connection of a ReconnectingConn
   * has twice the time, up to 60 s, until a message arrives after a question. A fall of
   * `bufferedAmount` shows that messages of the page leave. The time then starts again, longer by
   * the silence so far, at most a minute: the system may have buffered bytes. If the page was not
   * running, it asks again. Default: 5,000.
   */
  readonly timeout?: number | undefined;
}

/** Options of `dial`. */
export interface DialOptions extends BrowserConnOptions {
  /** Subprotocols to offer, in order of preference (RFC 6455, section 1.9). Default: none. */
  readonly subprotocols?: string | readonly string[] | undefined;
  /** An abort ends the dial. No effect after the dial has settled. */
  readonly signal?: AbortSignal | undefined;
  /** The longest time of the dial in ms; `false` for no bound. Default: 45,000. */
  readonly handshakeTimeout?: number | false | undefined;
  /**
   * Ends a dead connection that looks open: see {@link AliveOptions}. Default: none. `connect` of
   * `@ws/rpc`, and `roomsOf`, set this option on a ReconnectingConn without it; false keeps it off.
   */
  readonly alive?: AliveOptions | false | undefined;
  /** The class of WebSockets to use. Default: the global class. */
  readonly WebSocket?: WebSocketConstructor | undefined;
}

/**
 * A waiting write checks `bufferedAmount`, which has no event: for this many ms in each turn of the
 * event loop, because most waits are shorter than the shortest timer.
 */
const TURNS = 20;
/** The same in a hidden page, where timers take a second: 64 KiB in 62 ms are 1 MiB/s. */
const HIDDEN_TURNS = 100;
/** The first and the longest time in ms between two later checks. */
const FIRST_POLL = 4;
const LAST_POLL = 50;

/** Creates the turns of one waiting write in a page. */
function pageTurns(): Turns {
  let channel: InstanceType<NonNullable<typeof MessageChannel>> | undefined;
  const turnsEnd = performance.now() + (globalThis.document?.hidden ? HIDDEN_TURNS : TURNS);
  let ms = FIRST_POLL;
  return {
    next(check) {
      const { MessageChannel: Channel } = globalThis;
      if (Channel && performance.now() < turnsEnd) {
        channel ??= new Channel();
        channel.port1.onmessage = check;
        channel.port2.postMessage(null);
      } else {
        setTimeout(check, ms);
        ms = Math.min(ms * 2, LAST_POLL);
      }
    },
    stop: () => channel?.port1.close(),
  };
}

/** The side of a page, which cannot send close codes 1008 and 1011. */
export const PAGE: Side = {
  errorCloseCode: () => 3011,
  queueCloseCode: 3008,
  limitCloseCode: 3009,
  // Firefox ends the connections of a page that stays, for example at a click on a download.
  breaksOnGoingAway: true,
  turns: pageTurns,
  checkCode(code) {
    if (code !== 1000) whole('close: code other than 1000 in a page', code, 3000, 4999);
  },
  note: CAUSE_HIDDEN,
  report,
};

/** @throws TypeError, RangeError that names the option. */
export function pageSettings(options: BrowserConnOptions): BrowserConnSettings {
  return { ...PAGE, ...checkConnOptions(options) };
}

export const DIAL_OPTION_NAMES: readonly string[] = [
  ...CONN_OPTION_NAMES,
  'subprotocols',
  'signal',
  'handshakeTimeout',
  'alive',
  'WebSocket',
];

/** A hint for an option that a page cannot have. Smaller than the table of `optionHint`. */
export function pageHint(name: string): string | undefined {
  if (name === 'limitCloseCode') return 'it is gone: the code is always 3009';
  if (name === 'stream') return 'it is gone: leave it out';
  if (!/^(auth|compression|headers|heartbeat|jar|origin|proxy|tls)$/.test(name)) return undefined;
  return `the browser decides about headers, proxy, TLS, compression and pings; to log in, ${LOGINS}`;
}

/** Checked {@link AliveOptions}. */
export interface AlivePlan extends AliveOptions {
  readonly after: number;
  readonly timeout: number;
  /** Explains an end after a question, in errors. */
  readonly note: string;
  /** Whether the peer may be unable to answer a question before it answers what `conn` has sent. */
  readonly waits?: (conn: ConnLike) => boolean;
  /** Called when a message has arrived after a question. */
  readonly answered?: () => void;
  /** Called when no message has arrived in time. */
  readonly lost?: () => void;
  /**
   * Called when the connection has ended otherwise, with the peer's close code if it may have refused a
   * question: no message has come after the question.
   */
  readonly closed?: (code: number | undefined) => void;
}

/** @throws TypeError, RangeError that names the option. */
export function checkAlive(
  options: AliveOptions | false | undefined,
  note = 'after a question of the option alive',
): AlivePlan | undefined {
  if (options === undefined || options === false) return undefined;
  checkNames('alive', options, ['ask', 'answer', 'after', 'timeout'], 'reject');
  const { ask, answer = nothing, after = 25_000, timeout = 5_000 } = options;
  if (typeof ask !== 'function') throw badType('alive.ask: expected a function', ask);
  if (typeof answer !== 'function') throw badType('alive.answer: expected a function', answer);
  whole('alive.after', after, 1, LONGEST_TIMER);
  whole('alive.timeout', timeout, 1, LONGEST_TIMER);
  return { ...options, after, timeout, note };
}

/** A token of RFC 9110, section 5.6.2. */
const TOKEN = /^[!#-'*+.^-z|~\w-]+$/;

/** Checked {@link DialOptions}. */
export interface DialPlan extends BrowserConnSettings {
  readonly subprotocols: string[];
  readonly handshakeTimeout: number | undefined;
  readonly alive: AlivePlan | undefined;
  readonly WebSocket: WebSocketConstructor;
}

/**
 * Checks the options of a dial, except `signal` and unknown names.
 *
 * @throws TypeError, RangeError that names the option.
 */
export function checkDialOptions(options: DialOptions): DialPlan {
  const {
    WebSocket = (globalThis as Pick<DialOptions, 'WebSocket'>).WebSocket,
    subprotocols = [],
    handshakeTimeout = 45_000,
  } = options;
  const protocols: string[] = [subprotocols].flat();
  if (protocols.some((each) => typeof each !== 'string')) {
    throw badType('subprotocols: expected strings', subprotocols);
  }
  // Checked here, because the error of the class shows the name, which may be a token of a login.
  if (protocols.some((name, i) => !TOKEN.test(name) || protocols.indexOf(name) < i)) {
    throw new TypeError('dial: subprotocols: expected different tokens, such as base64url');
  }
  const settings = pageSettings(options);
  const time = handshakeTimeout === false ? undefined : whole('handshakeTimeout', handshakeTimeout);
  const alive = checkAlive(options.alive);
  if (typeof WebSocket !== 'function') {
    throw new TypeError('dial: no global WebSocket; pass a class as the option WebSocket');
  }
  return { ...settings, subprotocols: protocols, handshakeTimeout: time, alive, WebSocket };
}
