import type { Http2Stream, ServerHttp2Stream } from 'node:http2';
import { addAbortSignal, type Duplex } from 'node:stream';
import { NO_BYTES } from '@ws/codec/internal';

/**
 * Error codes (RFC 9113, section 7). Not the constants of node:http2: that module is loaded only where
 * it is used.
 */
export const Http2Code = {
  /** RST_STREAM of a complete stream (RFC 9113, section 8.1). */
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  /** The request was not processed. It may be sent again (RFC 9113, section 8.7). */
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  /** The peer asks for too much. */
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  /** The server answers this request over HTTP/1.1 only (RFC 9113, section 7). */
  HTTP_1_1_REQUIRED: 13,
} as const;

const NAMES = /* @__PURE__ */ Object.keys(Http2Code);

/** Names an error code of HTTP/2. */
export function resetName(code: number = Http2Code.NO_ERROR): string {
  return NAMES[code] ?? `code ${code}`;
}

const ABORTED = /* @__PURE__ */ AbortSignal.abort();

/** Whether a stream is one of node:http2. */
export function isHttp2Stream(stream: Duplex): stream is Http2Stream {
  return 'rstCode' in stream;
}

/**
 * Ends both halves of a stream at once. A stream of HTTP/2 sends RST_STREAM with CANCEL and emits an
 * AbortError. `close(8)` would send an END_STREAM before it, and `destroy()` NO_ERROR.
 */
export function cutStream(stream: Duplex): void {
  if (isHttp2Stream(stream)) addAbortSignal(ABORTED, stream);
  else stream.destroy();
}

/** Sends RST_STREAM with ENHANCE_YOUR_CALM, and drops what is unread. */
export function resetForOverload(stream: Http2Stream): void {
  // While a write is pending, `close` cannot send END_STREAM before the RST_STREAM. A write before the
  // answer would send a 200, which accepts.
  const isAnswered = !('headersSent' in stream) || (stream as ServerHttp2Stream).headersSent;
  if (stream.writable && isAnswered) stream.write(NO_BYTES);
  stream.close(Http2Code.ENHANCE_YOUR_CALM);
  // `close` alone waits until the unread bytes are read.
  stream.destroy();
}
