import type { ConnLike } from '@ws/conn';
import { LiveConn, startReconnecting } from '@ws/reconnect/internal';
import { AliveSetting } from './alive-setting.ts';
import type { BrowserConn } from './browser-conn.ts';
import { checkAlive } from './dial-options.ts';
import { checked } from './promises.ts';
import {
  type FreshURL,
  planReconnecting,
  planReconnectingConn,
  type ReconnectingConnOptions,
  type ReconnectingOptions,
} from './reconnecting-options.ts';

/**
 * Keeps a page connected to one URL: dials again after the end of a connection.
 *
 * As `reconnecting` of `@ws/reconnect`, with a URL. A wait between dials also ends when the
 * page is online again, or becomes visible. Browsers hide why a dial fails. So every failed dial is
 * tried again, unless the URL or an option is bad, or `retry` decides otherwise.
 *
 * Without `retry`, a failed dial is not reported. The iterable delivers the next connection that
 * opens. `retry` gets the error of each failed dial.
 *
 * @param url - As for `dial`; or a function, which is called for each dial: see {@link FreshURL}.
 * @returns With `handler`, a promise that settles at the end; without it, an iterable of connections.
 * @throws TypeError, RangeError or SyntaxError for a bad URL or option: synchronously, or with
 *   `handler` by the promise.
 *
 * @example
 * ```ts no-run
 * import { reconnecting } from '@ws/browser';
 *
 * for await (const conn of reconnecting('/feed')) {
 *   await conn.send('subscribe');
 *   await conn.receive((message) => console.log(message.text()));
 * }
 * ```
 */
export function reconnecting(
  url: string | URL | FreshURL,
  options?: ReconnectingOptions,
): AsyncIterable<BrowserConn>;
export function reconnecting(
  url: string | URL | FreshURL,
  options: ReconnectingOptions | undefined,
  handler: (conn: BrowserConn) => unknown,
): Promise<void>;
export function reconnecting(
  url: string | URL | FreshURL,
  options: ReconnectingOptions = {},
  handler?: (conn: BrowserConn) => unknown,
): AsyncIterable<BrowserConn> | Promise<void> {
  return startReconnecting(
    () => checked(() => planReconnecting(url, options), reconnecting),
    handler,
  );
}

/**
 * A client that keeps a page connected to one URL. Messages that are sent while there is no
 * connection wait for the next one. The constructor dials at once. {@link reconnecting} describes
 * failed dials and the waits between dials. `close` takes the close codes of a page: 1000, 3000 to
 * 4999.
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
  readonly #alive: AliveSetting;
  readonly #reportRefused: (error: Error) => void;

  /**
   * @param url - As for `dial`; or a function, which is called for each dial: see {@link FreshURL}.
   * @throws TypeError, RangeError or SyntaxError for a bad URL or option.
   */
  constructor(url: string | URL | FreshURL, options: ReconnectingConnOptions = {}) {
    const alive = new AliveSetting(options?.alive);
    const plan = checked(() => planReconnectingConn(url, options, alive), ReconnectingConn);
    super(plan);
    this.#alive = alive;
    this.#reportRefused = (error) => plan.report(error, { where: 'alive' });
  }

  /**
   * @internal Sets the option `alive` for all connections, unless it was given. For `@ws/rpc`.
   *
   * @param question - The message to send. Any message of the server is an answer.
   * @param waits - Returns whether a question on this connection may have to wait for other answers.
   * @returns A function that sends the first question of a connection; undefined if the option was given.
   */
  '@ws/alive'(
    question: string,
    waits: (conn: ConnLike) => boolean,
  ): ((conn: ConnLike) => void) | undefined {
    if (this.#alive.isGiven) return undefined;
    const note = `after the question ${question} (alive: false of ReconnectingConn keeps it off)`;
    const plan = checkAlive({ ask: () => question }, note)!;
    this.#alive.set({ ...plan, waits }, this.#reportRefused);
    return (conn) => (conn as BrowserConn).askFirst();
  }
}
