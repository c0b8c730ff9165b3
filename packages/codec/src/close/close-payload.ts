import { CloseCode, isValidCloseCode } from './close-code.ts';
import { ProtocolError } from './errors.ts';
import { isBytes } from './mask.ts';
import { readText, writeText } from './utf8-text.ts';

/** RFC 6455, 5.5: a control frame carries 125 bytes at most, and two of them are the code. */
const MAX_REASON = 123;

/** What a close frame says. */
export interface ClosePayload {
  /** 1005 when the frame carried none. */
  readonly code: number;
  /** At most 123 bytes of UTF-8; `''` when there was none. */
  readonly reason: string;
}

/**
 * Writes the payload of a close frame: the code and the reason in UTF-8. Lone surrogates become U+FFFD.
 *
 * @param code - 1005 (no status received) gives an empty payload, whatever the reason.
 * @param reason - At most 123 bytes of UTF-8.
 * @returns Owned bytes, 125 at most.
 * @throws TypeError when `code` is no number or `reason` no string; RangeError when the code must not be sent, or when
 *   the reason is too long. Nothing is cut off silently.
 * @see RFC 6455, sections 5.5.1 and 7.4
 */
export function formatCloseMessage(code: number, reason = ''): Uint8Array {
  if (typeof code !== 'number') throw new TypeError('websocket: a close code is a number');
  if (typeof reason !== 'string') throw new TypeError('websocket: a close reason is a string');
  if (code !== CloseCode.NoStatusReceived && !isValidCloseCode(code)) {
    throw new RangeError(
      `websocket: close code ${code} must not be sent; use 1000-1003, 1007-1014 or 3000-4999`,
    );
  }
  if (code === CloseCode.NoStatusReceived) return new Uint8Array(0);
  const payload = new Uint8Array(2 + MAX_REASON);
  const size = writeText(payload, 2, reason);
  if (size < 0) {
    throw new RangeError(`websocket: a close reason has at most ${MAX_REASON} bytes of UTF-8`);
  }
  payload[0] = code >> 8;
  payload[1] = code & 0xff;
  return payload.slice(0, 2 + size);
}

/**
 * Reads the payload of a close frame.
 *
 * @param payload - Borrowed for the call. Empty, it gives code 1005 and no reason.
 * @throws {@link ProtocolError} 1002 for a payload of one byte or a code that must not be sent, 1007
 *   (`WS_ERR_INVALID_UTF8`) for a reason that is no UTF-8; TypeError when `payload` is no Uint8Array.
 * @see RFC 6455, sections 5.5.1 and 7.4
 */
export function parseCloseMessage(payload: Uint8Array): ClosePayload {
  if (!isBytes(payload)) throw new TypeError('payload must be a Uint8Array');
  if (payload.length === 0) return { code: CloseCode.NoStatusReceived, reason: '' };
  if (payload.length === 1) {
    throw new ProtocolError(CloseCode.ProtocolError, ['close payload of one byte']);
  }
  const code = (payload[0]! << 8) | payload[1]!;
  if (!isValidCloseCode(code)) {
    throw new ProtocolError(CloseCode.ProtocolError, [`bad close code ${code}`]);
  }
  const reason = readText(payload, 2, payload.length);
  if (reason === undefined) {
    throw new ProtocolError(
      CloseCode.InvalidFramePayloadData,
      ['invalid utf8 payload in close frame'],
      'WS_ERR_INVALID_UTF8',
    );
  }
  return { code, reason };
}
