import type { Http2Stream } from 'node:http2';
import { checked } from '@ws/codec/internal';
import type { Transport } from '@ws/conn';
import { kind } from '@ws/conn/internal';
import { Http2Transport } from './http2/on-demand.ts';
import { checkHighWaterMark, HIGH_WATER_MARK, hasTransport } from './transport-base.ts';

/** Options of {@link http2Transport}. */
export interface Http2TransportOptions {
  /** `write` returns false while more bytes than this are buffered. Default: 64 KiB. */
  readonly highWaterMark?: number | undefined;
}

/**
 * Turns a stream of node:http2 into a {@link Transport}: a WebSocket over HTTP/2 (RFC 8441). The
 * transport owns the stream from now on. An END_STREAM is the end of one half. `destroy` sends
 * RST_STREAM with CANCEL, or with NO_ERROR after our END_STREAM. A reset by the peer, and the end of
 * the session, is an error of the transport. The bytes are passed on without a copy.
 *
 * @param stream - After the handshake, without a `data` listener and without an encoding.
 * @throws RangeError when `highWaterMark` is not a whole number of 1 or more. Error when the stream
 *   is a transport already. TypeError for another value than a stream of node:http2.
 *
 * @example
 * ```ts
 * import { connect, createServer } from 'node:http2';
 * import type { AddressInfo } from 'node:net';
 * import { Conn } from '@ws/conn';
 * import { http2Transport, nodePlatform } from '@ws/node-io';
 *
 * // Both ends skip the handshake: frames begin with the first byte.
 * const server = createServer();
 * server.on('stream', (stream) => {
 *   stream.respond({ ':status': 200 });
 *   const conn = new Conn(http2Transport(stream), { role: 'server', platform: nodePlatform });
 *   void conn.receive((message) => conn.send(message));
 * });
 * await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
 * const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
 * const stream = session.request({ ':method': 'POST' });
 * const conn = new Conn(http2Transport(stream), { role: 'client', platform: nodePlatform });
 * await conn.send('hello');
 * console.log((await conn.readMessage()).text()); // hello
 * await conn.close();
 * session.close();
 * server.close();
 * ```
 *
 * @see RFC 8441, section 5
 */
export function http2Transport(
  stream: Http2Stream,
  options: Http2TransportOptions = {},
): Transport {
  const { highWaterMark = HIGH_WATER_MARK } = options;
  checked(() => checkStream(stream, highWaterMark), http2Transport);
  return new Http2Transport(stream, highWaterMark);
}

function checkStream(stream: Http2Stream, highWaterMark: number): void {
  const given: Partial<Http2Stream> | null | undefined = stream;
  if (typeof given?.pipe !== 'function' || !('rstCode' in stream)) {
    throw new TypeError(`http2Transport: expected a stream of node:http2, got ${kind(stream)}`);
  }
  checkHighWaterMark(highWaterMark);
  if (hasTransport(stream)) throw new Error('the stream is a transport already');
}
