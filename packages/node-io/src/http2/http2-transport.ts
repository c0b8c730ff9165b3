import type { Http2Session, Http2Stream } from 'node:http2';
import process from 'node:process';
import { checked } from '@ws/codec/internal';
import type { Transport, TransportSink } from '@ws/conn';
import { kind, PendingBytesMistake } from '@ws/conn/internal';
import { cutStream } from '../http/reset.ts';
import { nodePlatform } from '../node-platform.ts';
import { hostPort } from '../socket-calls.ts';
import {
  checkHighWaterMark,
  HIGH_WATER_MARK,
  hasTransport,
  OWNER,
  type WithOwner,
} from '../transport-base.ts';
import { releaseFailed, WriteBacklog } from '../write-backlog.ts';
import { Http2Code, resetForOverload, resetName } from './codes.ts';
import { endAfterReset, hasArrived } from './resets.ts';
import { type PausedStreams, pausedStreamsOf } from './session-memory.ts';

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
  checked(() => {
    const given: Partial<Http2Stream> | null | undefined = stream;
    if (typeof given?.pipe !== 'function' || !('rstCode' in stream)) {
      throw new TypeError(`http2Transport: expected a stream of node:http2, got ${kind(stream)}`);
    }
    checkHighWaterMark(highWaterMark);
    if (hasTransport(stream)) throw new Error('the stream is a transport already');
  }, http2Transport);
  return new Http2Transport(stream, highWaterMark);
}

/**
 * Most bytes that a stream is given at a time. Its callback, the only sign of progress, comes after
 * the last byte.
 */
const MAX_GIVEN = 64 * 1024;
/** Bytes after which a stream pauses until the next turn of the event loop, as a socket does. */
const YIELD_AFTER = 192 * 1024;
/**
 * Milliseconds for the peer's end after the closing handshake. Firefox and nghttpx never end their
 * side. The wait of RFC 6455, section 7.1.1, is for TCP.
 */
const END_TIMEOUT = 250;

/** `pause` was called. */
const BY_READER = 1;
/** The stream waits for the next turn of the event loop. */
const BY_EVENT_LOOP = 2;

/** A stream with its transport. */
type Carrier = WithOwner<Http2Transport>;

/** The last peer. Streams of one session share the text. */
let lastRemote: string | undefined;
let lastLocal: string | undefined;

class Http2Transport implements Transport {
  readonly underlying: Http2Stream;
  readonly localAddr: string | undefined;
  readonly remoteAddr: string | undefined;
  /** Node clears `stream.session` at the close. */
  readonly #session: Http2Session | undefined;
  readonly #highWaterMark: number;
  #sink: TransportSink | undefined;
  /** Created by the first write. */
  #backlog: WriteBacklog | undefined;
  /** Bytes of the writes that wait for the callback of the last one. */
  #given = 0;
  /** A {@link flush} follows in this turn. */
  #flushScheduled = false;
  /** `end` was called. */
  #ending = false;
  /** The peer's END_STREAM was read. */
  #ended = false;
  /** The peer has reset the stream before its END_STREAM. Node emits 'end' all the same. */
  #cut = false;
  /** `destroy` was called. */
  #destroyed = false;
  /** The stream has closed. */
  #closed = false;
  /** The first error of the stream, or the argument of `destroy`. */
  #error: Error | undefined;
  /** Bytes that have arrived since the last pause for the event loop. */
  #arrived = 0;
  /** The reasons of a pause, as bits: {@link BY_READER}, {@link BY_EVENT_LOOP}. */
  #paused = 0;
  /** Set while {@link BY_READER} is. */
  #unread: PausedStreams | undefined;

  constructor(stream: Http2Stream, highWaterMark: number) {
    this.underlying = stream;
    this.#session = stream.session;
    this.#highWaterMark = highWaterMark;
    const { remoteAddress, remotePort, localAddress, localPort } = stream.session?.socket ?? {};
    const remote = hostPort(remoteAddress, remotePort);
    const local = hostPort(localAddress, localPort);
    // Equal texts of several streams share one string.
    if (remote !== lastRemote) lastRemote = remote;
    if (local !== lastLocal) lastLocal = local;
    this.remoteAddr = lastRemote;
    this.localAddr = lastLocal;
    (stream as Carrier)[OWNER] = this;
    stream.on('error', onError);
    stream.on('aborted', onAborted);
    stream.on('close', onClose);
    // 'aborted' came before.
    if (stream.aborted) this.aborted();
  }

  /** As for a socket: the session's socket carries the bytes. */
  get inTransit(): number {
    return 10_485_760;
  }

  get endTimeout(): number {
    return END_TIMEOUT;
  }

  get bufferedAmount(): number {
    const backlog = this.#backlog;
    return backlog === undefined ? 0 : backlog.bytes + this.#given;
  }

  start(sink: TransportSink): void {
    const stream = this.underlying;
    this.#sink = sink;
    if (this.#closed || stream.destroyed) return void setImmediate(() => this.closed());
    if (stream.readableEnded) process.nextTick(() => this.ended());
    stream.on('end', onEnd);
    stream.on('data', onData);
    // A listener alone does not resume a stream that was paused before.
    stream.resume();
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    if (this.#closed || this.#ending) {
      this.#release(release);
      return true;
    }
    this.#backlog ??= new WriteBacklog((error) => this.#onWritten(error));
    const backlog = this.#backlog;
    // A stream that is not writable accepts no bytes. Bytes that wait count as lost when it closes.
    if (chunk.length === 0 && this.underlying.writable) this.#release(release);
    else backlog.wait(chunk, release);
    if (!this.#flushScheduled && this.#given === 0) {
      this.#flushScheduled = true;
      // The writes of a turn leave in one DATA frame.
      process.nextTick(flush, this);
    }
    if (this.bufferedAmount <= this.#highWaterMark) return true;
    backlog.needDrain = true;
    return false;
  }

  /** The turn of the writes is over. */
  flush(): void {
    this.#flushScheduled = false;
    if (!this.#closed) this.#giveWaiting();
  }

  /** Gives the stream bytes that wait, unless it has some. */
  #giveWaiting(): void {
    const stream = this.underlying;
    const backlog = this.#backlog;
    if (backlog?.waits === true && stream.aborted) return this.#cutOff();
    if (backlog?.waits === true && this.#given === 0 && stream.writable) {
      const several = backlog.waiting > 1;
      if (several) stream.cork();
      this.#giveBatch(backlog);
      if (several) stream.uncork();
    }
    if (this.#ending && backlog?.waits !== true) stream.end();
  }

  #giveBatch(backlog: WriteBacklog): void {
    let room = MAX_GIVEN;
    while (room > 0 && backlog.waits) {
      const { left } = backlog;
      if (left <= 0) return this.destroy(new PendingBytesMistake());
      const piece = backlog.take(Math.min(left, room));
      room -= piece.length;
      this.#given += piece.length;
      backlog.add(piece.length < left ? undefined : backlog.takeRelease());
      const isLast = room === 0 || !backlog.waits;
      // A copy: the stream may close before its session has written the bytes, which are released then.
      this.underlying.write(Buffer.from(piece), isLast ? backlog.onWritten : undefined);
    }
  }

  #onWritten(error: Error | null | undefined): void {
    const { destroyed, closed } = this.underlying;
    const backlog = this.#backlog;
    // Node calls back without an error for the writes that a reset drops.
    if (error || destroyed || closed || backlog === undefined) return;
    this.#releaseGiven(backlog);
    this.#giveWaiting();
    this.#drain(backlog);
  }

  #releaseGiven(backlog: WriteBacklog): void {
    this.#given = 0;
    while (backlog.pending) this.#release(backlog.takeOldest());
  }

  #drain(backlog: WriteBacklog): void {
    if (!backlog.needDrain || this.bufferedAmount > this.#highWaterMark) return;
    backlog.needDrain = false;
    this.#sink?.drain();
  }

  /** An error of `release` ends this connection. Thrown in a callback, it would end the process. */
  #release(release: (() => void) | undefined): void {
    try {
      release?.();
    } catch (cause) {
      this.destroy(releaseFailed(cause));
    }
  }

  pause(): void {
    this.#paused |= BY_READER;
    this.underlying.pause();
    if (this.#unread !== undefined || this.#session === undefined || this.#closed) return;
    this.#unread = pausedStreamsOf(this.#session);
    this.#unread.add(this.underlying, this);
  }

  resume(): void {
    this.#paused &= ~BY_READER;
    this.#forgetUnread();
    if (this.#paused === 0) this.underlying.resume();
  }

  /** The next turn of the event loop has come. */
  resumeAfterYield(): void {
    this.#paused &= ~BY_EVENT_LOOP;
    this.#arrived = 0;
    if (this.#paused === 0) this.underlying.resume();
  }

  #forgetUnread(): void {
    this.#unread?.remove(this.underlying);
    this.#unread = undefined;
  }

  end(): void {
    if (this.#ending || this.#destroyed) return;
    this.#ending = true;
    this.#giveWaiting();
  }

  destroy(error?: Error): void {
    if (this.#destroyed || this.#closed) return;
    this.#destroyed = true;
    this.#error ??= error;
    const stream = this.underlying;
    if (stream.destroyed) return;
    // After our END_STREAM the stream is complete: Node sends NO_ERROR.
    if (this.#ending && this.bufferedAmount === 0) stream.destroy();
    else cutStream(stream);
  }

  resetUnread(error: Error): void {
    if (this.#destroyed || this.#closed) return;
    this.#destroyed = true;
    this.#error ??= error;
    resetForOverload(this.underlying);
  }

  data(chunk: Uint8Array): void {
    const stream = this.underlying;
    if (stream.destroyed || this.#destroyed) return;
    if (typeof chunk === 'string') {
      const error = 'the stream has an encoding and reads no bytes; do not call setEncoding()';
      return this.destroy(new TypeError(error));
    }
    this.#arrived += chunk.length;
    if (this.#arrived >= YIELD_AFTER && (this.#paused & BY_EVENT_LOOP) === 0) {
      this.#paused |= BY_EVENT_LOOP;
      stream.pause();
      nodePlatform.yield(() => this.resumeAfterYield());
    }
    this.#sink?.data(chunk, chunk.length);
  }

  /** The readable side has ended: by END_STREAM, or by a reset. */
  ended(): void {
    const { rstCode, destroyed } = this.underlying;
    if (this.#cut || this.#destroyed || this.#ended || this.#closed) return;
    // A reset after our END_STREAM emits no 'aborted'.
    if (destroyed || (rstCode ?? Http2Code.NO_ERROR) !== Http2Code.NO_ERROR) return;
    this.#ended = true;
    this.#sink?.end();
  }

  /** The stream was reset, or its session has ended, before our END_STREAM. */
  aborted(): void {
    // Unread bytes before an END_STREAM are still delivered, and the END_STREAM too. A reader that
    // waits for its own writes would never read them.
    if (!hasArrived(this.underlying) || this.bufferedAmount > 0) this.#cutOff();
  }

  #cutOff(): void {
    this.#cut = true;
    endAfterReset(this.underlying);
  }

  failed(error: Error): void {
    if (!this.#destroyed) this.#error ??= error;
  }

  closed(): void {
    const sink = this.#sink;
    const backlog = this.#backlog;
    const isFirst = !this.#closed;
    this.#closed = true;
    if (isFirst) this.#forgetUnread();
    // Closed before `start`, which calls again.
    if (sink === undefined) return;
    const stream = this.underlying as Http2Stream & Carrier;
    stream[OWNER] = undefined;
    if (backlog !== undefined && this.#hasSentAll(backlog)) {
      this.#releaseGiven(backlog);
      this.#drain(backlog);
      // Released just before the close, bytes would count as lost.
      setImmediate(() => this.#reportClose(sink));
    } else this.#reportClose(sink);
  }

  #reportClose(sink: TransportSink): void {
    const failure = this.#backlog?.releaseAll();
    this.#sink = undefined;
    sink.close(this.#cause() ?? failure);
    // Until here it counts the bytes that were not sent.
    this.#backlog = undefined;
  }

  /**
   * Whether both halves have ended. Our END_STREAM leaves with the last bytes, and Node closes the
   * stream before it calls back for them.
   */
  #hasSentAll(backlog: WriteBacklog): boolean {
    const { rstCode } = this.underlying;
    const isLost = this.#destroyed || this.#session?.destroyed === true;
    return (
      this.#ended && this.#ending && !backlog.waits && !isLost && rstCode === Http2Code.NO_ERROR
    );
  }

  /** Why the stream has closed; undefined when both halves have ended. */
  #cause(): Error | undefined {
    if (this.#destroyed) return this.#error;
    const { rstCode, writableFinished } = this.underlying;
    const cause = this.#error;
    if (this.#ended && writableFinished) return cause;
    // Node closes the streams of a dead session with CANCEL.
    if (this.#session?.destroyed === true) {
      return new Error('the HTTP/2 session has ended', { cause });
    }
    if (this.#ended && rstCode === Http2Code.NO_ERROR) return cause;
    return new Error(`the peer reset the stream: ${resetName(rstCode)}`, { cause });
  }
}

function flush(transport: Http2Transport): void {
  transport.flush();
}

// A stream calls these with itself as `this`.

function onData(this: Carrier, chunk: Uint8Array): void {
  this[OWNER]?.data(chunk);
}

function onEnd(this: Carrier): void {
  this[OWNER]?.ended();
}

function onAborted(this: Carrier): void {
  this[OWNER]?.aborted();
}

/** It stays on a closed stream, so that a late error is not uncaught. */
function onError(this: Carrier, error: Error): void {
  this[OWNER]?.failed(error);
}

function onClose(this: Carrier): void {
  this[OWNER]?.closed();
}
