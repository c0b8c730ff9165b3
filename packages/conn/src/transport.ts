/** What a {@link Transport} calls. All four run synchronously, and none of them throws. */
export interface TransportSink {
  /**
   * Bytes arrived.
   *
   * @param chunk - Given away: the receiver may change it in place and keep it as long as it likes. A transport
   *   that cannot give its memory away copies.
   */
  data(chunk: Uint8Array): void;
  /** After a `write` that returned false: the transport is below its high-water mark again. */
  drain(): void;
  /** The peer will send nothing more (a FIN). Writes are still possible. */
  end(): void;
  /** The transport is gone, after `end`, `destroy` or a fault. The last call, exactly once. */
  close(error?: Error): void;
}

/**
 * A minimal stream of bytes in both directions: what a `Conn` stands on. Any runtime can offer one; the rules are
 * checked by `transportContract` in `testkit`. None of its methods throws: what goes wrong is told by `sink.close`.
 */
export interface Transport {
  /**
   * Starts the flow of bytes into `sink`. Called once, before anything else; nothing is delivered before this call
   * has returned.
   */
  start(sink: TransportSink): void;
  /**
   * Sends bytes after all that was written before. Nothing happens after `end`, `destroy` or `close`, save that
   * `release` is called.
   *
   * @param chunk - Borrowed until `release` is called: never changed or detached, never kept longer. Other transports may
   *   be given the same bytes meanwhile.
   * @param release - Called exactly once, when the transport no longer needs `chunk`; it may run inside `write`.
   *   When the transport dies with bytes unsent, it is called all the same.
   * @returns False when the transport is above its high-water mark: the bytes are taken all the same, and
   *   `sink.drain()` will come.
   */
  write(chunk: Uint8Array, release?: () => void): boolean;
  /** Writes between `cork` and `uncork` may leave as one. */
  cork?(): void;
  /** Lets go what was written since `cork`. */
  uncork?(): void;
  /** Asks for no more `data` until `resume`. What is on its way may still come. */
  pause(): void;
  /** Asks for `data` again. */
  resume(): void;
  /** Ends the writing side, after all that was written (a FIN). */
  end(): void;
  /** Drops the connection at once; `sink.close` follows, with `error` if there was one. */
  destroy(error?: Error): void;
  /** Bytes written and not yet handed to the operating system. */
  readonly bufferedAmount: number;
  /** `host:port`, a path, or whatever names this end. */
  readonly localAddr?: string | undefined;
  /** `host:port`, a path, or whatever names the other end. */
  readonly remoteAddr?: string | undefined;
  /** What the transport stands on, a `net.Socket` for example. Writing to it corrupts the connection. */
  readonly underlying?: unknown;
}
