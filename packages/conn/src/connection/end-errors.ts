import { CloseCode, type ClosePayload, type ProtocolError, type WebSocketError } from '@ws/codec';
import {
  BackpressureError,
  CloseError,
  causeText,
  isNormalEnd,
  ReadLimitError,
  TimeoutError,
  TransportError,
  UNEXPECTED_EOF,
  untraced,
} from '../errors.ts';

/** Note for the peer's close code 1009: says whose message exceeds whose limit. */
const SENT_TOO_BIG = 'a message of this end is larger than the limit of the peer';

/**
 * Why reading ends with the peer's close frame.
 *
 * @param sent - Whether our close frame came first.
 * @param isCut - Whether the frame comes within a message: a reader must not take it for a normal end.
 * @param loss - The error of a reader that has lost messages.
 */
export function peerCloseError(
  { code, reason }: ClosePayload,
  sent: boolean,
  isCut: boolean,
  loss: Error | undefined,
): Error {
  // The answer to our own close frame repeats its code.
  const tooBig = code === CloseCode.MessageTooBig && !sent ? SENT_TOO_BIG : undefined;
  const close = untraced(() => new CloseError(code, reason, tooBig ?? loss?.message ?? ''));
  if (isCut) {
    const text = `the connection was closed within a message: ${causeText(close)}`;
    return untraced(() => new TransportError(text, { cause: close }));
  }
  return loss !== undefined && isNormalEnd(close) ? loss : close;
}

/** Why reading ends when the peer's stream ends without a close frame. */
export function unexpectedEof(): CloseError {
  return untraced(() => new CloseError(CloseCode.AbnormalClosure, UNEXPECTED_EOF));
}

/** The error of readers after messages were dropped because no code took them in time. */
export function lossError(messages: number): TimeoutError {
  const text = `messages dropped at the end of the connection, because no code took them in time: ${messages} (options closeTimeout, rate)`;
  return new TimeoutError(text, { permanent: true });
}

/**
 * Why reading ends with `end` for a reader that has lost messages. It never ends normally, and the
 * error of any close code has the number of messages.
 */
export function endWithLoss(end: unknown, loss: Error): unknown {
  if (!(end instanceof CloseError)) return end;
  if (isNormalEnd(end)) return loss;
  if (end.message.endsWith(loss.message)) return end;
  return untraced(() => new CloseError(end.closeCode, end.reason, loss.message));
}

/** The error of a connection whose transport has closed with `error`. Undefined without an error. */
export function transportErrorOf(error: Error | undefined): TransportError | undefined {
  if (error === undefined || error instanceof TransportError) return error;
  return untraced(() => new TransportError(causeText(error), { cause: error }));
}

/** The close code after an error of the application: 1013 for a BackpressureError, else 1011. */
export function codeAfterError(error: unknown): number {
  try {
    if (error instanceof BackpressureError) return CloseCode.TryAgainLater;
  } catch {
    // A trap of a Proxy that the application has thrown.
  }
  return CloseCode.InternalServerErr;
}

// The codec detects a message over `readLimit`: `FrameDecoder` by the length in a header,
// `MessageDecoder` by the sum of the frames and by the decoded size. `failureBy` of the codec chooses the
// close code 1009.

/**
 * The error of a connection for the `error` of its decoder: a {@link ReadLimitError} for a message
 * of more than `readLimit` bytes.
 */
export function connErrorOf(error: ProtocolError, readLimit: number): WebSocketError {
  // Without a limit, only a length above 2^53 has this code: it is no ReadLimitError.
  const tooBig = error.closeCode === CloseCode.MessageTooBig && readLimit !== Infinity;
  return tooBig ? new ReadLimitError(readLimit) : error;
}
