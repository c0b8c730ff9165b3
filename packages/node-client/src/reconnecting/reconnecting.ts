import { checked } from '@ws/codec/internal';
import { LiveConn, startReconnecting } from '@ws/reconnect/internal';
import type { ClientConn } from '../client-conn.ts';
import {
  type FreshURL,
  planReconnecting,
  planReconnectingConn,
  type ReconnectingConnOptions,
  type ReconnectingOptions,
} from './reconnecting-options.ts';

/**
 * Keeps a client connected to one URL: dials again when a connection has ended.
 *
 * ```ts no-run
 * import { reconnecting } from '@ws/node-client';
 *
 * await reconnecting('wss://example.org/feed', { stopCodes: [1000, 1008] }, async (conn) => {
 *   await conn.send('subscribe');
 *   for await (const message of conn) console.log(message.text());
 * });
 * ```
 *
 * With `handler`, each connection is passed to it. When the handler returns, the next dial waits
 * until that connection has closed. When it rejects with a WebSocketError of its connection, the
 * connection closes and the next dial follows. Any other error closes the connection with 1011 and
 * rejects the promise.
 *
 * Without `handler` the result iterates over the connections. If the loop's body ends while its
 * connection is open, the next dial waits until that connection has closed. `break` leaves the
 * connection open; it is yours then. An error in the body ends the loop, also the error of a
 * connection that broke.
 *
 * The first wait is random from 0 to twice `minDelay`. Each later wait is twice as long, up to
 * `maxDelay`. Half of it is fixed, half is random. The waits restart after a connection that
 * stayed open for `maxDelay`. Retry-After lengthens a wait, up to 60 s
 * or `maxDelay`.
 *
 * Everything ends when a connection closes with one of `stopCodes`, or when `signal` aborts. It
 * ends with the error of a dial when another dial is not expected to succeed:
 * - a `BadHandshakeError` with status 401 or 403;
 * - a programming error of a function of the options, also as the cause of a `TransportError`: a
 *   ReferenceError, a SyntaxError, or a TypeError without a cause. Other errors of the functions for
 *   the URL, the headers, the proxy and the cookies are tried again;
 * - a TypeError, RangeError or SyntaxError for what such a function has returned.
 *
 * These end it only before the first connection was open, and are tried again after `maxDelay` later:
 * - a `BadHandshakeError` with another status than 408, 425, 429, 5xx or 0;
 * - a `TransportError` whose cause is a rejected certificate, or an error of `checkServerIdentity` or
 *   `pskCallback`. A certificate that has expired or is not valid yet is always tried again after
 *   `maxDelay`.
 *
 * @param url - As for `dial`; or a function, which is called for each dial: see {@link FreshURL}.
 * @returns With `handler`, a promise that settles at the end. Without, an iterable. It dials only
 *   when the iteration asks for a connection. Each iteration is independent.
 * @throws TypeError, RangeError or SyntaxError for a bad URL or option: synchronously, or with
 *   `handler` by the promise.
 */
export function reconnecting(
  url: string | URL | FreshURL,
  options?: ReconnectingOptions,
): AsyncIterable<ClientConn>;
export function reconnecting(
  url: string | URL | FreshURL,
  options: ReconnectingOptions | undefined,
  handler: (conn: ClientConn) => unknown,
): Promise<void>;
export function reconnecting(
  url: string | URL | FreshURL,
  options: ReconnectingOptions = {},
  handler?: (conn: ClientConn) => unknown,
): AsyncIterable<ClientConn> | Promise<void> {
  return startReconnecting(
    () => checked(() => planReconnecting(url, options), reconnecting),
    handler,
  );
}

/**
 * A client that keeps itself connected to one URL: messages that are sent while there is no
 * connection wait for the next one. It dials at once. {@link reconnecting} describes the waits
 * between dials, and which failures end it.
 *
 * @example
 * ```ts no-run
 * import { ReconnectingConn } from '@ws/node-client';
 *
 * const live = new ReconnectingConn('wss://example.org/feed', {
 *   onOpen: (conn) => conn.send('subscribe'),
 * });
 * await live.send('hello');
 * for await (const message of live) console.log(message.text());
 * ```
 */
export class ReconnectingConn extends LiveConn<ClientConn> {
  /**
   * @param url - As for `dial`; or a function, which is called for each dial: see {@link FreshURL}.
   * @throws TypeError, RangeError or SyntaxError for a bad URL or option.
   */
  constructor(url: string | URL | FreshURL, options: ReconnectingConnOptions = {}) {
    super(checked(() => planReconnectingConn(url, options), ReconnectingConn));
  }
}
