import { LiveConn } from '@ws/conn/internal';
import type { BrowserConn } from './browser-conn.ts';
import { checked } from './promises.ts';
import {
  type FreshURL,
  planReconnectingConn,
  type ReconnectingConnOptions,
} from './reconnecting-options.ts';

/**
 * A client that keeps a page connected to one URL: messages that are sent while there is no
 * connection wait for the next one. It dials at once. {@link reconnecting} describes failed dials and
 * the waits between dials. `close` takes the close codes of a page: 1000, 3000 to 4999.
 *
 * @example
 * ```ts no-run
 * import { ReconnectingConn } from '@ws/browser';
 *
 * const live = new ReconnectingConn('/feed', { onOpen: (conn) => conn.send('subscribe') });
 * live.on('open', () => console.log('connected'));
 * live.on('close', () => console.log('not connected'));
 * for await (const message of live) console.log(message.text());
 * ```
 */
export class ReconnectingConn extends LiveConn<BrowserConn> {
  /**
   * @param url - As for `dial`; or a function, which is called for each dial: see {@link FreshURL}.
   * @throws TypeError, RangeError or SyntaxError for a bad URL or option.
   */
  constructor(url: string | URL | FreshURL, options: ReconnectingConnOptions = {}) {
    super(checked(() => planReconnectingConn(url, options), ReconnectingConn));
  }
}
