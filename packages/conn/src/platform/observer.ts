// The visible facts of a connection: its events, its counters and its end.

/** How a connection ended. */
export interface CloseInfo {
  /**
   * The code of the peer's close frame; 1005 when that frame had no code. Without a close frame of
   * the peer: the code with which this end failed the connection, else 1006 (RFC 6455, section 7.1.5).
   * For example, 1006 when the peer answers `close(4000)` with the end of its stream.
   */
  readonly code: number;
  /** The reason of the peer's close frame, else `''`. */
  readonly reason: string;
  /** Whether both close frames were exchanged (RFC 6455, section 7.1.4). */
  readonly wasClean: boolean;
  /**
   * The error that ended the connection, if any. When a handler has thrown a value that is no
   * Error, this is an Error with the value as `cause`.
   */
  readonly error?: Error | undefined;
}

/**
 * `open` at first. `closing` as soon as this end sends a close frame, answers the peer's close
 * frame or the end of its stream, or fails the connection. `closed` after the transport has closed.
 */
export type ConnState = 'open' | 'closing' | 'closed';

/**
 * Receives the events of connections, for tracing and metrics. An undefined member costs little.
 * `conn` is the `Conn`. The option `report` gets an error that a member throws; the error has no other
 * effect.
 */
export interface Observer {
  /** A connection was created. */
  readonly opened?: ((conn: object) => void) | undefined;
  /** A connection has ended; `info` is the value of its `closed`. */
  readonly closed?: ((conn: object, info: CloseInfo) => void) | undefined;
  /**
   * A message is complete, before a reader gets it: `type` is its opcode, `bytes` its size after
   * inflation.
   */
  readonly messageIn?: ((conn: object, type: number, bytes: number) => void) | undefined;
  /**
   * A message was accepted for sending, a streamed message with its last fragment. `bytes` is the
   * size before compression.
   */
  readonly messageOut?: ((conn: object, type: number, bytes: number) => void) | undefined;
  /**
   * The option `report` gets an error, with the same `where`. Errors of this member are ignored.
   */
  readonly reported?:
    | ((error: unknown, where: string, conn: object | undefined) => void)
    | undefined;
  /**
   * For `ms` milliseconds this end has read nothing, and the peer has read none of our `bytes`. Perhaps
   * each end waits for the other one to read.
   */
  readonly blocked?: ((conn: object, bytes: number, ms: number) => void) | undefined;
}

/** The counters of a connection since its creation. */
export interface ConnStats {
  /** Messages that arrived complete and valid. */
  readonly messagesIn: number;
  /** Messages accepted for sending, with their last frame. */
  readonly messagesOut: number;
  /**
   * Messages that were not sent because of `maxBufferedAmount`: writes that rejected with a
   * BackpressureError, and messages of `broadcast`.
   */
  readonly messagesRefused: number;
  /** Arrived messages that no reader got, after a close, a failed handler or a read deadline. */
  readonly messagesDropped: number;
  /** Data and control frames. */
  readonly framesIn: number;
  /** Data and control frames. */
  readonly framesOut: number;
  /** Bytes on the wire, with headers. */
  readonly bytesIn: number;
  /** Bytes on the wire, with headers. */
  readonly bytesOut: number;
  /** Pings received. */
  readonly pingsIn: number;
  /** Pings sent: yours and the heartbeat's. */
  readonly pingsOut: number;
  /** Round trip of the last answered ping, in ms; NaN before the first pong. */
  readonly rtt: number;
  /** Bytes of memory kept for the compression windows (RFC 7692, section 7.1.1). */
  readonly compressionBytes: number;
}
