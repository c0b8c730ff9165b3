import type { WebSocketError } from '@ws/codec';
import { CloseSentError } from '../errors.ts';

/** Why a connection accepts no message any more. A connection that accepts them has none. */
export class WriteEnd {
  /**
   * Whether the write deadline has expired. It can be moved, and does not stop control frames. The
   * next message ends the connection.
   */
  readonly expired: boolean;
  #error: WebSocketError | undefined;

  private constructor(error: WebSocketError | undefined, expired: boolean) {
    this.#error = error;
    this.expired = expired;
  }

  /** Our close frame was accepted for sending. */
  static ofCloseFrame(): WriteEnd {
    return new WriteEnd(undefined, false);
  }

  static ofError(error: WebSocketError): WriteEnd {
    return new WriteEnd(error, false);
  }

  static ofDeadline(error: WebSocketError): WriteEnd {
    return new WriteEnd(error, true);
  }

  /**
   * The error of later writes. A CloseSentError is created on first use: most connections close
   * without a rejected write, and its stack trace costs more than the close.
   */
  get error(): WebSocketError {
    this.#error ??= new CloseSentError();
    return this.#error;
  }
}
