/** What a connection has counted since it was made. Bytes are those of the wire, headers included. */
export interface ConnStats {
  /** Messages whose last byte has come and was right. */
  readonly messagesIn: number;
  /** Messages whose last frame was written. */
  readonly messagesOut: number;
  /** Frames of either kind, data and control. */
  readonly framesIn: number;
  /** Frames of either kind, data and control. */
  readonly framesOut: number;
  /** Bytes of the wire, headers included. */
  readonly bytesIn: number;
  /** Bytes of the wire, headers included. */
  readonly bytesOut: number;
  /** Pings of the peer. */
  readonly pingsIn: number;
  /** Pings of the heartbeat and yours. */
  readonly pingsOut: number;
  /** The last round trip of a ping, in ms; NaN before the first. */
  readonly rtt: number;
  /** Bytes of memory that are held for what compressed messages may refer back to. */
  readonly compressionBytes: number;
}
