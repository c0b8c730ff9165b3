import { ProtocolError } from '../errors.ts';
import { CloseCode } from '../protocol.ts';

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

/** The error for a message of more than `limit` bytes (RFC 6455, section 7.4.1). */
export function tooBig(limit: number): ProtocolError {
  return new ProtocolError(CloseCode.MessageTooBig, [`message of more than ${limit} bytes`]);
}

/**
 * The error for a frame inside of a message, or a control frame, that has reserved bits: an
 * extension gives them a meaning on the first frame of a message only (RFC 6455, section 5.2).
 */
export function reservedBits(rsv: number): ProtocolError {
  const set = [0x40, 0x20, 0x10].flatMap((bit, i) => ((rsv & bit) === 0 ? [] : `RSV${i + 1} set`));
  return new ProtocolError(CloseCode.ProtocolError, set, 'WS_ERR_PROTOCOL');
}
