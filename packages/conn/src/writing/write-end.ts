import type { WebSocketError } from '@ws/codec';
import { CloseSentError, causeText, TransportError } from '../errors.ts';
import { kind, onRejection } from '../validate.ts';
import { PendingBytesMistake } from './pending-bytes.ts';

/** The reason why a connection accepts no more messages. */
export type WriteEnd = {
  /** The error of later writes. */
  readonly error: WebSocketError;
  /**
   * Whether the reason is an expired write deadline. Control frames are still sent then. The caller can
   * move the deadline; otherwise the next message ends the connection.
   */
  readonly expired: boolean;
};

/**
 * The end of writing after our close frame. The CloseSentError is created on first use: its stack trace
 * costs more than the close, and few connections reject a write.
 */
export function endByCloseFrame(): WriteEnd {
  let error: CloseSentError | undefined;
  return {
    expired: false,
    get error(): CloseSentError {
      error ??= new CloseSentError();
      return error;
    },
  };
}

/** The error of a connection after an encoder or a transport threw. */
export function notWritten(cause: unknown): TransportError {
  return new TransportError('a frame could not be written', { cause });
}

/** The error of a connection whose transport did not accept bytes because of `cause`. */
export function writeFailure(cause: unknown): TransportError {
  if (cause instanceof PendingBytesMistake) return new TransportError(causeText(cause), { cause });
  return cause instanceof TransportError ? cause : notWritten(cause);
}

/** The error for a `write` of a transport that returned neither true nor false. */
export function badWriteResult(result: unknown): TypeError {
  onRejection(result, () => {});
  return new TypeError(`transport.write: expected true or false, got ${kind(result)}`);
}
