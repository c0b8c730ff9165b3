import type { TransportSink } from '@ws/conn';

/** Number of the calls of {@link lend}. */
let calls = 0;

/**
 * Passes a copy of `bytes` to `sink.data`, and overwrites it with 0xDD when the call has returned: a
 * connection that keeps lent bytes reads wrong ones. Every second call lends the first part of a
 * larger buffer.
 */
export function lend(sink: TransportSink, bytes: Uint8Array): void {
  const wholeChunk = calls++ % 2 === 0;
  const lent = new Uint8Array(bytes.length + (wholeChunk ? 0 : 64)).fill(0xee);
  lent.set(bytes);
  if (wholeChunk) sink.data(lent);
  else sink.data(lent, bytes.length);
  lent.fill(0xdd);
}
