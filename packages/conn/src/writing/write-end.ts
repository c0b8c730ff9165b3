import type { WebSocketError } from '@ws/codec';
import { CloseSentError, causeText, TransportError } from '../errors.ts';
import { kind, onRejection } from '../validate.ts';
import { PendingBytesError } from './pending-bytes.ts';

/** The reason why a connection accepts no more messages. */
export class WriteEnd {
  /**
   * Whether the reason is an expired write deadline. Control frames are still sent then. The caller can
   * move the deadline; otherwise the next message ends the connection.
   */
  readonly expired: boolean;
  #error: WebSocketError | undefined;

  /** @param error - Default: a CloseSentError, after our close frame. */
  constructor(error?: WebSocketError, expired = false) {
    this.#error = error;
    this.expired = expired;
  }

  /**
   * The error of later writes. Creates the CloseSentError on first use: its stack trace costs more than
   * the close, and few connections reject a write.
   */
  get error(): WebSocketError {
    this.#error ??= new CloseSentError();
    return this.#error;
  }
}

/** The error of a connection after an encoder or a transport threw. */
export function notWritten(cause: unknown): TransportError {
  return new TransportError('a frame could not be written', { cause });
}

/** The error of a connection whose transport did not accept bytes because of `cause`. */
export function writeFailure(cause: unknown): TransportError {
  if (cause instanceof PendingBytesError) return new TransportError(causeText(cause), { cause });
  return cause instanceof TransportError ? cause : notWritten(cause);
}

/** The error for a `write` of a transport that returned neither true nor false. */
export function badWriteResult(result: unknown): TypeError {
  onRejection(result, () => {});
  return new TypeError(`transport.write: expected true or false, got ${kind(result)}`);
}
