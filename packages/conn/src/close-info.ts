/** How a connection ended. */
export interface CloseInfo {
  /**
   * The code of the peer's close frame, 1005 when that frame had no code. Without a close frame of
   * the peer: the code with which this end failed the connection, or 1006 (RFC 6455, section
   * 7.1.5). So it is 1006 when the peer answers `close(4000)` with the end of its stream.
   */
  readonly code: number;
  /** The reason of the peer's close frame, else `''`. */
  readonly reason: string;
  /** Whether both close frames were exchanged (RFC 6455, section 7.1.4). */
  readonly wasClean: boolean;
  /**
   * The fault that ended the connection; absent when there was none. For a value that is no Error,
   * thrown by a handler, it is an Error with that value as `cause`.
   */
  readonly error?: Error | undefined;
}

/**
 * `open` at first. `closing` as soon as this end sends a close frame, answers the peer's close
 * frame or the end of its stream, or fails the connection. `closed` after the transport has closed.
 */
export type ConnState = 'open' | 'closing' | 'closed';
