import { TransportError } from '@ws/conn';
import { badType, checkNames } from '@ws/conn/internal';
import { BrowserConn } from './browser-conn.ts';
import { ConnectingSocket } from './connecting-socket.ts';
import {
  checkDialOptions,
  DIAL_OPTION_NAMES,
  type DialOptions,
  pageHint,
  pageSettings,
} from './dial-options.ts';
import { CAUSE_HIDDEN } from './errors.ts';
import { type BrowserConnOptions, CONN_OPTION_NAMES } from './options.ts';
import { bounded, checked, nothing } from './promises.ts';
import { targetOf } from './url.ts';
import type { WebSocketLike } from './web-types.ts';

/**
 * Connects to a URL.
 *
 * @param url - ws, wss, http or https; may be relative to the page. A fragment is removed.
 * @throws (rejects) SyntaxError for a bad URL, TypeError or RangeError that names a bad option;
 *   {@link TransportError} when the connection could not be opened: browsers hide the cause;
 *   {@link TimeoutError} after `handshakeTimeout`; the reason of `signal`.
 *
 * @example
 * ```ts no-run
 * import { dial } from '@ws/browser';
 *
 * const conn = await dial('/feed');
 * await conn.send('hello');
 * for await (const message of conn) console.log(message.text());
 * ```
 */
export async function dial(url: string | URL, options: DialOptions = {}): Promise<BrowserConn> {
  return checked(() => open(url, options), dial);
}

/** Opens a connection, as {@link dial} does. */
export function open(url: string | URL, options: DialOptions): Promise<BrowserConn> {
  if (typeof options === 'string' || Array.isArray(options)) {
    throw new TypeError('dial: write { subprotocols: [...] } for subprotocols');
  }
  checkNames('dial', options, DIAL_OPTION_NAMES, 'reject', pageHint);
  const target = targetOf(url);
  const plan = checkDialOptions(options);
  const { handshakeTimeout: timeout, WebSocket, subprotocols: protocols } = plan;
  // Errors show the URL without its query, which may have a secret.
  const [name] = target.href.split('?');
  return bounded<BrowserConn>(
    { signal: options.signal, timeout },
    (resolve, reject) => {
      let stop = nothing;
      const isMixed =
        target.protocol === 'ws:' && globalThis.location?.href.startsWith('https:') === true;
      const why = isMixed ? 'a page of https needs wss:' : CAUSE_HIDDEN;
      const failed = (cause: unknown): void =>
        reject(new TransportError(`could not connect to ${name}; ${why}`, { cause }));
      try {
        const socket = new WebSocket(target.href, protocols);
        const conn = new BrowserConn(socket, plan);
        socket.addEventListener('open', () => {
          if (plan.alive !== undefined) conn.keepAlive(plan.alive);
          resolve(conn);
        });
        stop = () => conn.terminate();
        void conn.closed.then(({ error }) => failed(error));
      } catch (cause) {
        // Firefox throws these errors when the policy of the page forbids the URL, or for a ws: URL in a
        // page of https. By the standard, the connection fails instead.
        if (/^(NS_|SecurityError)/.test(String((cause as Error | undefined)?.name))) failed(cause);
        else {
          const why = String(cause).replaceAll(target.href, name!);
          throw new TypeError(`dial: ${name} was refused: ${why}`, { cause });
        }
      }
      return (reason) => {
        reject(reason);
        stop();
      };
    },
    `${name}: no connection after ${timeout} ms (option handshakeTimeout)`,
  );
}

/**
 * Creates a BrowserConn over a WebSocket that is open or connecting. From then on only the BrowserConn
 * may use the WebSocket. Messages wait until it is open.
 *
 * @throws TypeError for another value or a closed socket; TypeError or RangeError that names a bad
 *   option.
 *
 * @example
 * ```ts no-run
 * import { fromWebSocket } from '@ws/browser';
 *
 * const conn = fromWebSocket(new WebSocket('wss://example.org/feed'));
 * for await (const message of conn) console.log(message.text());
 * ```
 */
export function fromWebSocket(
  socket: WebSocketLike,
  options: BrowserConnOptions = {},
): BrowserConn {
  return checked(() => {
    checkNames('fromWebSocket', options, CONN_OPTION_NAMES, 'reject');
    if (typeof socket?.addEventListener !== 'function' || !(socket.readyState < 2)) {
      throw badType('fromWebSocket: expected an open WebSocket', socket);
    }
    const usable = socket.readyState === 0 ? new ConnectingSocket(socket) : socket;
    return new BrowserConn(usable, pageSettings(options));
  }, fromWebSocket);
}
