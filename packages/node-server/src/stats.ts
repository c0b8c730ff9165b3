/** Counters of a server, since its start unless stated otherwise. */
export interface ServerStats {
  /** Connections opened. */
  readonly opened: number;
  /** Connections open now. */
  readonly open: number;
  /** Handshakes pending now. */
  readonly handshakesPending: number;
  /** Handlers running now. */
  readonly handlersPending: number;
  /**
   * Requests refused, by HTTP status: also bytes that are no HTTP request, and plain requests that
   * get 426.
   */
  readonly refused: { readonly [status: number]: number };
  /**
   * Calls of your functions (`authenticate`, `checkOrigin`, `headers`, `error`) that had not settled
   * when the time of their handshake was up. They no longer count against the limits.
   */
  readonly overdue: number;
}
