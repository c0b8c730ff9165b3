import { CloseCode, ProtocolError, type WebSocketError } from '@ws/codec';
import { ReadLimitError } from '../errors.ts';

/** The error of a frame decoder; `readLimit` in bytes is the limit of the message. */
export function frameError(
  error: ProtocolError | undefined,
  readLimit: number,
): WebSocketError | undefined {
  // The frame decoder fails with 1009 above maxFramePayload, or for a length above any limit.
  if (error?.closeCode === CloseCode.MessageTooBig && readLimit !== Infinity) {
    return new ReadLimitError(readLimit);
  }
  return error;
}

/** The error for more than `limit` empty fragments in a row. */
export function emptyFragments(limit: number): ProtocolError {
  return new ProtocolError(CloseCode.PolicyViolation, [
    `more than ${limit} empty fragments in a row`,
  ]);
}

/** The error for a text message that is not UTF-8 (RFC 6455, section 8.1). */
export function invalidText(): ProtocolError {
  return new ProtocolError(
    CloseCode.InvalidFramePayloadData,
    ['invalid UTF-8 in text message'],
    'WS_ERR_INVALID_UTF8',
  );
}

/** RFC 7692, section 7.2.2, names no code: 1007 fits, as for any payload of the wrong format. */
export function invalidDeflate(): ProtocolError {
  return new ProtocolError(
    CloseCode.InvalidFramePayloadData,
    ['invalid DEFLATE data in compressed message'],
    'WS_ERR_INVALID_DEFLATE',
  );
}
