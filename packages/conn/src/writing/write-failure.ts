import { causeText, TransportError } from '../errors.ts';
import { onRejection } from '../on-rejection.ts';
import { kind } from '../validate.ts';
import { isChanged } from './pending-bytes.ts';

/** The error of a connection when a frame could not be encoded, or the transport threw. */
export function unwritten(cause: unknown): TransportError {
  return new TransportError('a frame could not be written', { cause });
}

/** The error of a connection whose transport has not taken some bytes. */
export function writeFailure(cause: unknown): TransportError {
  if (isChanged(cause)) return new TransportError(causeText(cause), { cause });
  return cause instanceof TransportError ? cause : unwritten(cause);
}

/** The error of a transport whose `write` returned neither true nor false. */
export function badResult(result: unknown): TypeError {
  onRejection(result, () => {});
  return new TypeError(`transport.write: expected true or false, got ${kind(result)}`);
}
