import { CloseCode } from '@ws/codec';

/** How a connection ended. */
export interface CloseInfo {
  /**
   * The code of the peer's close frame, 1005 when it had none; else the code with which we failed the connection, or
   * 1006 when it ended without a close frame (RFC 6455, section 7.1.5).
   */
  readonly code: number;
  /** The reason of that close frame. */
  readonly reason: string;
  /** Whether both close frames were exchanged (RFC 6455, section 7.1.4). */
  readonly wasClean: boolean;
  /** What ended the connection, when it was a fault. */
  readonly error?: unknown;
}

/** `open` until a close frame was accepted for sending or handled, `closed` once the transport is gone. */
export type ConnState = 'open' | 'closing' | 'closed';

/** Input that is read and dropped after our close frame, so that the peer gets it and no reset. */
const MOST_DROPPED = 1_048_576;

/**
 * What is known of the closing handshake (RFC 6455, section 7). Each fact becomes true once and stays so:
 *
 * - `sent`: our close frame was accepted, by `close()`, as an answer, or because the connection failed
 * - `received`: the peer's close frame was parsed; it is *answered* in its place among the messages
 * - `failure`: the peer or the user's handler broke a rule; no input is parsed any more
 */
export class Closing {
  sent = false;
  answered = false;
  received: { readonly code: number; readonly reason: string } | undefined;
  failed = false;
  failure: unknown;
  failureCode: number = CloseCode.AbnormalClosure;
  #dropped = 0;

  /** Counts input after our close frame; true when it is more than one waits for. */
  drop(bytes: number): boolean {
    this.#dropped += bytes;
    return this.#dropped > MOST_DROPPED;
  }

  /** How it ended; `lost` is the transport's own error, if it had one. */
  info(lost: unknown): CloseInfo {
    const { received } = this;
    const error = this.failed ? this.failure : lost;
    return {
      code: received?.code ?? this.failureCode,
      reason: received?.reason ?? '',
      wasClean: received !== undefined && this.sent && !this.failed,
      ...(error === undefined || (received !== undefined && !this.failed) ? {} : { error }),
    };
  }
}
