import { CloseCode, type ProtocolError, type WebSocketError } from '@ws/codec';
import { ReadLimitError } from '../errors.ts';

// The codec finds a message over `readLimit`: `FrameDecoder` by the length in a header, see
// `#failOverLimit` and `lengthFault`; `MessageDecoder` by the sum of its frames, and by what an extension
// makes of them, see `#checkLength`. `failureBy` of the codec chooses the close code 1009.

/**
 * The error of a connection for the `error` of its decoder: a {@link ReadLimitError} for a message
 * over `readLimit`, the limit of the message in bytes.
 */
export function connErrorOf(error: ProtocolError, readLimit: number): WebSocketError {
  // Also for a length above 2^53, which no limit allows.
  const tooBig = error.closeCode === CloseCode.MessageTooBig && readLimit !== Infinity;
  return tooBig ? new ReadLimitError(readLimit) : error;
}
