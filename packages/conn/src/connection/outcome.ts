import {
  CloseCode,
  CloseMessage,
  type ClosePayload,
  FrameHeader,
  isValidCloseCode,
  type MessageDecoder,
  ProtocolError,
  parseCloseMessage,
  unmask,
  type WebSocketError,
} from '@ws/codec';
import { MAX_CLOSE_REASON, utf8Length } from '@ws/codec/internal';
import {
  BackpressureError,
  CloseError,
  CloseSentError,
  causeText,
  errorOf,
  ReadLimitError,
  TimeoutError,
  TransportError,
  UNEXPECTED_EOF,
  untraced,
} from '../errors.ts';
import type { CloseInfo } from '../platform/observer.ts';
import { isNormalEnd } from '../read/pending-read.ts';
import { WriteEnd } from '../writing/write-end.ts';

/** How a connection ends, as far as it is known. */
export class Outcome {
  /** Why reading will end: set by the first close frame, end of the stream, or fault. */
  readEnd: { readonly reason: unknown } | undefined;
  /** The peer has ended its side of the transport. */
  eof = false;
  /** Our close frame was accepted for sending. */
  sent = false;
  /** Bytes of input that were dropped after our close frame. */
  dropped = 0;
  /** The peer's close frame. */
  received: { readonly code: number; readonly reason: string } | undefined;
  /** We failed the connection: the peer or a handler broke a rule (section 7.1.7). */
  failed: { readonly error: unknown; readonly code: number } | undefined;
  /** `terminate` or `abort` was called. The transport reports its close later. */
  aborted = false;
  /** Why we destroyed the transport, or why it closed. Reported unless the close is clean. */
  error: unknown;
  /** The value of `closed`, once the transport has closed. */
  info: CloseInfo | undefined;
  #closeFrameEnd: WriteEnd | undefined;

  /** Why writes end with our close frame: also before it is sent, for the writers that it rejects. */
  get closeFrameEnd(): WriteEnd {
    this.#closeFrameEnd ??= WriteEnd.ofCloseFrame();
    return this.#closeFrameEnd;
  }

  /** Whether `error` is the one with which writes reject after our close frame. */
  isCloseSent(error: unknown): boolean {
    return error instanceof CloseSentError && error === this.#closeFrameEnd?.error;
  }

  /**
   * The transport has closed.
   *
   * @param flushed - It took our close frame before.
   * @param decoder - Its unparsed input may contain the peer's close frame: {@link info} does not
   *   wait for a reader.
   */
  settle(flushed: boolean, decoder: MessageDecoder | undefined): CloseInfo {
    this.received ??= closeAhead(decoder);
    const { received, failed, sent } = this;
    const wasClean = received !== undefined && sent && flushed && failed === undefined;
    const error = errorOf(failed === undefined ? this.error : failed.error);
    this.info = {
      code: received?.code ?? failed?.code ?? CloseCode.AbnormalClosure,
      reason: received?.reason ?? '',
      wasClean,
      ...(wasClean || error === undefined ? {} : { error }),
    };
    return this.info;
  }
}

/** Says which end's message and limit a close frame with 1009 is about. */
const SENT_TOO_BIG = 'a message of this end is larger than the limit of the peer';

/**
 * Why reading ends with the peer's close frame.
 *
 * @param isCut - It comes within a message. No reader may take the end for that of the message.
 * @param loss - The error of a reader that has lost messages.
 */
export function peerCloseError(
  { received, sent }: Outcome,
  isCut: boolean,
  loss: Error | undefined,
): Error {
  const { code, reason } = received!;
  // The answer to our own close frame repeats its code.
  const tooBig = code === CloseCode.MessageTooBig && !sent ? SENT_TOO_BIG : undefined;
  const close = untraced(() => new CloseError(code, reason, tooBig ?? loss?.message ?? ''));
  if (isCut) {
    const text = `the connection was closed within a message: ${causeText(close)}`;
    return untraced(() => new TransportError(text, { cause: close }));
  }
  return loss !== undefined && isNormalEnd(close) ? loss : close;
}

/** The peer's close frame, if it is in the unparsed input of `decoder`. Parses nothing. */
function closeAhead(decoder: MessageDecoder | undefined): ClosePayload | undefined {
  if (decoder?.pending !== true) return undefined;
  const bytes = decoder.rest();
  const header = new FrameHeader();
  // The input may begin within a payload.
  let end = decoder.frame.missing;
  try {
    while (end < bytes.length) {
      const size = header.read(bytes, end);
      if (size === 0) break;
      const start = end + size;
      end = start + header.length;
      if (header.opcode !== CloseMessage || end > bytes.length) continue;
      unmask(bytes, start, end, header.maskKey);
      return parseCloseMessage(bytes.subarray(start, end));
    }
  } catch {
    // A broken rule. The reader gets its error.
  }
  return undefined;
}

/** Names the option of the timeout: of a call of `close`, or the default. */
export function timeoutOption(timeout: number | undefined): string {
  return timeout === undefined ? 'closeTimeout' : 'timeout of close';
}

/** Why reading ends when the peer's stream ends without a close frame. */
export function unexpectedEof(): CloseError {
  return untraced(() => new CloseError(CloseCode.AbnormalClosure, UNEXPECTED_EOF));
}

/** Why reading ends when messages were dropped that no code has taken in time. */
export function lossError(messages: number): TimeoutError {
  const text = `messages dropped at the end of the connection, because no code took them in time: ${messages} (options closeTimeout, rate)`;
  return new TimeoutError(text, { permanent: true });
}

/** The error of a connection after its transport has closed with `error`. */
export function brokenBy(error: Error | undefined): TransportError | undefined {
  if (error === undefined || error instanceof TransportError) return error;
  return untraced(() => new TransportError(causeText(error), { cause: error }));
}

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

/** The close code after an error of the application: a message for which there is no room may have it later. */
export function codeAfterError(error: unknown): number {
  try {
    if (error instanceof BackpressureError) return CloseCode.TryAgainLater;
  } catch {
    // A trap of a Proxy that the application has thrown.
  }
  return CloseCode.InternalServerErr;
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
