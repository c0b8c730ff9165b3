import { kind } from '../arguments.ts';
import { isBytes, lengthOf, viewOf } from '../byte-facts.ts';
import { ProtocolError } from '../errors.ts';
import type { OwnedBytes } from '../memory/slab.ts';
import { CloseCode, isValidCloseCode, MAX_CLOSE_REASON } from '../protocol.ts';
import { readUtf8, toUtf8, UTF8_ACCEPT, unitsWithin, utf8Step } from '../text/utf8-automaton.ts';

/** The contents of a close frame. */
export interface ClosePayload {
  /** The close code, or 1005 when the frame carried none. */
  readonly code: number;
  /** At most 123 bytes of UTF-8; `''` when there is none. */
  readonly reason: string;
}

/**
 * Writes the payload of a close frame: the code and the reason in UTF-8. Lone surrogates become
 * U+FFFD.
 *
 * @param code - 1005 (no status received) returns an empty payload and ignores the reason.
 * @param reason - At most 123 bytes of UTF-8.
 * @returns Owned bytes, 125 at most.
 * @throws TypeError when `code` is not a number or `reason` not a string. RangeError when the code
 *   must not be sent, or when the reason is too long: it is never truncated.
 * @see RFC 6455, sections 5.5.1 and 7.4
 *
 * @example
 * ```ts
 * import { CloseMessage, encodeFrame, formatCloseMessage } from '@ws/codec';
 *
 * const frame = encodeFrame(CloseMessage, formatCloseMessage(1000, 'bye'));
 * console.log(frame.length); // 7
 * ```
 */
export function formatCloseMessage(code: number, reason = ''): OwnedBytes {
  if (typeof code !== 'number') {
    throw new TypeError(
      `websocket: a close code is a number, got ${kind(code)}; the reason is the second argument`,
    );
  }
  if (typeof reason !== 'string') {
    throw new TypeError(`websocket: a close reason is a string, got ${kind(reason)}`);
  }
  if (code !== CloseCode.NoStatusReceived && !isValidCloseCode(code)) {
    throw new RangeError(
      `websocket: close code ${code} must not be sent; use 1000-1003, 1007-1014 or 3000-4999`,
    );
  }
  if (code === CloseCode.NoStatusReceived) return new Uint8Array(0);
  // Each unit of UTF-16 is at least one byte of UTF-8. So a huge reason is not encoded.
  const text = reason.length > MAX_CLOSE_REASON ? undefined : toUtf8(reason);
  if (text === undefined || text.length > MAX_CLOSE_REASON) {
    throw new RangeError(
      `websocket: a close reason has at most ${MAX_CLOSE_REASON} bytes of UTF-8`,
    );
  }
  const payload = new Uint8Array(2 + text.length);
  payload[0] = code >> 8;
  payload[1] = code & 0xff;
  payload.set(text, 2);
  return payload;
}

/**
 * Reads the payload of a close frame.
 *
 * @param payload - Borrowed for the call. Empty: code 1005 and no reason.
 * @throws {@link ProtocolError} 1002 for a payload of one byte or a code that must not be sent,
 *   1007 (`WS_ERR_INVALID_UTF8`) for a reason that is not UTF-8. TypeError when `payload` is not a
 *   Uint8Array.
 * @see RFC 6455, sections 5.5.1 and 7.4
 *
 * @example
 * ```ts
 * import { parseCloseMessage } from '@ws/codec';
 *
 * console.log(parseCloseMessage(Uint8Array.of(3, 232))); // { code: 1000, reason: '' }
 * ```
 */
export function parseCloseMessage(payload: Uint8Array): ClosePayload {
  if (!isBytes(payload)) throw new TypeError('payload must be a Uint8Array');
  const length = lengthOf(payload);
  if (length === 0) return { code: CloseCode.NoStatusReceived, reason: '' };
  if (length === 1) {
    throw new ProtocolError(CloseCode.ProtocolError, ['close payload of one byte']);
  }
  const code = (payload[0]! << 8) | payload[1]!;
  if (!isValidCloseCode(code)) {
    throw new ProtocolError(CloseCode.ProtocolError, [`bad close code ${code}`]);
  }
  if (utf8Step(UTF8_ACCEPT, payload, 2, length) !== UTF8_ACCEPT) {
    throw new ProtocolError(
      CloseCode.InvalidFramePayloadData,
      ['invalid utf8 payload in close frame'],
      'WS_ERR_INVALID_UTF8',
    );
  }
  return { code, reason: readUtf8(new Uint8Array(viewOf(payload, 2, length))) };
}

/** Returns the beginning of `text` that fits in a close frame: whole characters. */
export function cutReason(text: string): string {
  return text.slice(0, unitsWithin(text, MAX_CLOSE_REASON));
}
