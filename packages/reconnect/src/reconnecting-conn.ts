import type { Conn, ConnLike } from '@ws/conn';
import { checked } from '@ws/conn/internal';
import { LiveConn } from './live-conn.ts';
import {
  type DialFunction,
  planReconnectingConn,
  type ReconnectingConnOptions,
} from './options.ts';

/**
 * A client that keeps itself connected. Messages that are sent while there is no connection wait for
 * the next one. The constructor dials at once. `reconnecting` describes the waits between dials.
 *
 * @example
 * ```ts no-run
 * import { dial } from '@ws/node-client';
 * import { ReconnectingConn } from '@ws/reconnect';
 *
 * const live = new ReconnectingConn(({ signal }) => dial('wss://example.org/feed', { signal }), {
 *   onOpen: (conn) => conn.send('subscribe'),
 * });
 * await live.send('hello');
 * for await (const message of live) console.log(message.text());
 * ```
 */
export class ReconnectingConn<C extends ConnLike = Conn> extends LiveConn<C> {
  /**
   * @param dial - Opens one connection. A result that is no {@link ConnLike} ends this object
   *   with a TypeError.
   * @throws TypeError or RangeError that names the option.
   */
  constructor(dial: DialFunction<C>, options: ReconnectingConnOptions<C> = {}) {
    super(checked(() => planReconnectingConn(dial, options), ReconnectingConn));
  }
}
