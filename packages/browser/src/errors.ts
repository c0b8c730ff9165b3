import { WebSocketError } from '@ws/conn';

/**
 * The runtime, for example a browser, lacks a feature of `Conn`. The message says what to use instead.
 *
 * @example
 * ```ts no-run
 * import { dial, UnsupportedError } from '@ws/browser';
 *
 * const conn = await dial('/feed');
 * try {
 *   await conn.ping();
 * } catch (error) {
 *   console.log(error instanceof UnsupportedError); // true: a page cannot send pings
 * }
 * ```
 */
export class UnsupportedError extends WebSocketError {
  declare readonly code: 'WS_ERR_UNSUPPORTED';

  /** @param member - A member of `Conn`. */
  constructor(member: string) {
    super(
      `${member} is not available on this runtime; send a message of your own instead`,
      'WS_ERR_UNSUPPORTED',
    );
  }

  override get name(): string {
    return 'UnsupportedError';
  }
}

/** The note of an error that a browser does not explain. */
export const CAUSE_HIDDEN = "browsers hide the cause; see the network tab or the server's log";

/** How a page logs in, without headers and user info. */
export const LOGINS = 'use ?token= in the URL, a subprotocol or a cookie';
