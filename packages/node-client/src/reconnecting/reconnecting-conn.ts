import { checked } from '@ws/codec/internal';
import { LiveConn } from '@ws/conn/parts';
import type { ClientConn } from '../client-conn.ts';
import { planReconnectingConn, type ReconnectingConnOptions } from './reconnecting-options.ts';

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
  /** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
  constructor(url: string | URL, options: ReconnectingConnOptions = {}) {
    super(checked(() => planReconnectingConn(url, options), ReconnectingConn));
  }
}
