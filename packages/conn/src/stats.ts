/**
 * The counters of a connection since it was created. Bytes are counted on the wire, with headers.
 */
export interface ConnStats {
  /** Messages that arrived complete and valid. */
  readonly messagesIn: number;
  /** Messages whose last frame was accepted for sending. */
  readonly messagesOut: number;
  /**
   * Messages that were not sent, because they would have exceeded `maxBufferedAmount`: writes that
   * rejected with a BackpressureError, and messages of `broadcast`.
   */
  readonly messagesRefused: number;
  /**
   * Messages that arrived and that no reader got: after a close, a failed handler or an expired read
   * deadline.
   */
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
  /** Pings sent: yours and those of the heartbeat. */
  readonly pingsOut: number;
  /** Round trip of the last answered ping, in ms; NaN before the first pong. */
  readonly rtt: number;
  /** Bytes of memory held for the compression windows (RFC 7692, section 7.1.1). */
  readonly compressionBytes: number;
}
