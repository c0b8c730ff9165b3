import { CloseCode, ProtocolError, type WebSocketError } from '@ws/codec';
import { ReadLimitError } from '../errors.ts';

/** A close frame has at most this many bytes of reason (RFC 6455, section 5.5). */
const MAX_REASON = 123;

/**
 * The close frame that fails a connection because of `error` (RFC 6455, section 7.4.1). Its reason
 * names the faults of a ProtocolError. A message above the read limit gets 1009 without a reason,
 * any other error 1011.
 */
export function closeFrameOf(error: WebSocketError | undefined): {
  readonly code: number;
  readonly reason: string;
} {
  if (error instanceof ProtocolError) {
    return { code: error.closeCode, reason: error.faults.join(', ').slice(0, MAX_REASON) };
  }
  const tooBig = error instanceof ReadLimitError;
  return { code: tooBig ? CloseCode.MessageTooBig : CloseCode.InternalServerErr, reason: '' };
}

/** The error of a decoder; `readLimit` in bytes is the limit of the message. */
export function decodeError(error: ProtocolError, readLimit: number): WebSocketError {
  // Also for a length above any limit.
  const tooBig = error.closeCode === CloseCode.MessageTooBig && readLimit !== Infinity;
  return tooBig ? new ReadLimitError(readLimit) : error;
}
