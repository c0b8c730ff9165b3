import { CloseCode, isValidCloseCode, ProtocolError, type WebSocketError } from '@ws/codec';
import { MAX_CLOSE_REASON, utf8Length } from '@ws/codec/internal';
import { ReadLimitError } from '../errors.ts';

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
    // An extension of the application may name any code.
    const code = isValidCloseCode(error.closeCode) ? error.closeCode : CloseCode.ProtocolError;
    return { code, reason: cutReason(error.faults.join(', ')) };
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

/** The beginning of `text` that fits in a close frame: whole characters. */
function cutReason(text: string): string {
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += utf8Length(character);
    if (bytes > MAX_CLOSE_REASON) break;
    end += character.length;
  }
  return text.slice(0, end);
}
