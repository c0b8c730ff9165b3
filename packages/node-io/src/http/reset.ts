import type { Http2Stream } from 'node:http2';
import { addAbortSignal, type Duplex } from 'node:stream';

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
