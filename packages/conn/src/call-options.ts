import type { WaitOptions } from './time/wait.ts';

/** How long `Conn.ping` waits for the pong. */
export interface PingOptions {
  /** Ends the wait when it aborts; the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * In ms, default 20,000; `false` waits until the connection ends. With this option the
   * ping keeps the process alive until it settles.
   */
  readonly timeout?: number | false | undefined;
}

/** Options of `Conn.writeMessage` and the other writes. */
export interface WriteOptions {
  /**
   * `false` sends the message uncompressed. `true` compresses it whatever its size, if
   * permessage-deflate was agreed on and the result is smaller. Default: the setting of the
   * connection.
   */
  readonly compress?: boolean | undefined;
  /** Ends the wait when it aborts; the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `Conn.nextWriter`. */
export interface NextWriterOptions {
  /**
   * `true` waits until the owner of an open writer closes it; `false` finishes that writer.
   * Default: false.
   */
  readonly queue?: boolean | undefined;
  /** As for `Conn.writeMessage`. It applies to the whole message. */
  readonly compress?: boolean | undefined;
}

/** Options of `Conn.close`. */
export interface ConnCloseOptions extends WaitOptions {
  /** `true` drops the messages before the peer's close frame, also unread ones. Default: false. */
  readonly discard?: boolean | undefined;
}
