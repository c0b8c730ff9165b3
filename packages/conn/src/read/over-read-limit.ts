import { CloseCode, type ProtocolError, type WebSocketError } from '@ws/codec';
import { ReadLimitError } from '../errors.ts';

/**
 * The error of a decoder: a {@link ReadLimitError} for a message over `readLimit`, the limit of the
 * message in bytes.
 */
export function decodeError(error: ProtocolError, readLimit: number): WebSocketError {
  // Also for a length above any limit.
  const tooBig = error.closeCode === CloseCode.MessageTooBig && readLimit !== Infinity;
  return tooBig ? new ReadLimitError(readLimit) : error;
}
