import type { WebSocketError } from '@ws/codec';
import { CloseSentError, causeText, TransportError } from '../errors.ts';
import { kind, onRejection } from '../validate.ts';
import { isChanged } from './pending-bytes.ts';

/** Why a connection accepts no message any more. A connection that accepts them has none. */
export class WriteEnd {
  /**
   * Whether the write deadline has expired. It can be moved, and does not stop control frames. The
   * next message ends the connection.
   */
  readonly expired: boolean;
  #error: WebSocketError | undefined;

  /** @param error - Default: our close frame was accepted for sending. */
  constructor(error?: WebSocketError, expired = false) {
    this.#error = error;
    this.expired = expired;
  }

  /**
   * The error of later writes. A CloseSentError is created on first use. Most connections close
   * without a rejected write, and its stack trace costs more than the close.
   */
  get error(): WebSocketError {
    this.#error ??= new CloseSentError();
    return this.#error;
  }
}

/** The error of a connection when a frame could not be encoded, or the transport threw. */
export function unwritten(cause: unknown): TransportError {
  return new TransportError('a frame could not be written', { cause });
}

/** The error of a connection with bytes that its transport has not taken. */
export function writeFailure(cause: unknown): TransportError {
  if (isChanged(cause)) return new TransportError(causeText(cause), { cause });
  return cause instanceof TransportError ? cause : unwritten(cause);
}

/** The error of a transport with a `write` that returned neither true nor false. */
export function badResult(result: unknown): TypeError {
  onRejection(result, () => {});
  return new TypeError(`transport.write: expected true or false, got ${kind(result)}`);
}
