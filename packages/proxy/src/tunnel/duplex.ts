import type { Duplex } from 'node:stream';
import type { Transport } from '@ws/conn';
import { http2Transport, socketTransport } from '@ws/node-io';
import { isHttp2Stream, TransportDuplex } from '@ws/node-io/internal';

/** Listens for the errors of a stream between its handshake and its tunnel: each is its end. */
export function destroyOnError(this: Duplex, error: Error): void {
  // oxlint-disable-next-line oxc/no-this-in-exported-function -- a listener: `this` is its emitter
  this.destroy(error);
}

/**
 * Returns a stream that ends as a socket does. Node shows the reset of a stream of HTTP/2 as an end, and
 * `destroy` of one is no reset.
 */
export function duplexOf(stream: Duplex, highWaterMark: number): Duplex {
  if (!isHttp2Stream(stream)) return stream;
  const duplex = new TransportDuplex(http2Transport(stream, { highWaterMark }));
  duplex.on('error', destroyOnError);
  duplex.start();
  return duplex;
}

/** @param head - Bytes that were read from the stream before. */
export function transportOf(stream: Duplex, head: Uint8Array, highWaterMark: number): Transport {
  if (!isHttp2Stream(stream)) return socketTransport(stream, { head, highWaterMark });
  if (head.length > 0) stream.unshift(head);
  return http2Transport(stream, { highWaterMark });
}
