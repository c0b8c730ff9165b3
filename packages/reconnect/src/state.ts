import type { Message } from '@ws/conn';

/**
 * The state of a `ReconnectingConn`: dialing or running `onOpen`; open; waiting for the next dial,
 * or for the end of a connection that closes; closed, also while `close` ends the connection.
 */
export type ReconnectingState = 'connecting' | 'open' | 'waiting' | 'closed';

/** How a `ReconnectingConn` ended. */
export interface ReconnectingEnd {
  /**
   * The error that ended the object; absent after `close`, `signal`, and a close code of `stopCodes`.
   * If a function of yours throws a value that is no Error, `error` has that value as `cause`.
   */
  readonly error?: Error | undefined;
  /**
   * The messages with an id that the peer has not acknowledged (option `resend`), then the messages
   * that no connection has accepted. Both are in the order of the calls.
   */
  readonly unsent: readonly Message[];
}

/** The counters of a `ReconnectingConn`. */
export interface ReconnectingStats {
  /** Messages that `send` has refused with a BackpressureError. They are not in `unsent`. */
  readonly messagesRefused: number;
}
