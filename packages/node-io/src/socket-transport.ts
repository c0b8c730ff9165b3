import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { checked, NO_BYTES } from '@ws/codec/internal';
import { type Transport, TransportError, type TransportSink } from '@ws/conn';
import { isConnLike, kind, PendingBytesMistake } from '@ws/conn/internal';
import { debug } from './diagnostics.ts';
import { nodePlatform } from './node-platform.ts';
import { type BufferSink, readInto, stopReadInto, wantsReadBuffer } from './read-buffer.ts';
import { hostPort } from './socket-calls.ts';
import { checkHighWaterMark, HIGH_WATER_MARK, OWNER, type WithOwner } from './transport-base.ts';
import { releaseFailed, WriteBacklog } from './write-backlog.ts';

/** Options of {@link socketTransport}. */
export interface SocketTransportOptions {
  /**
   * Bytes that were read from the socket before, such as the `head` of an upgrade. They are
   * delivered first. Copied.
   */
  readonly head?: Uint8Array | undefined;
  /**
   * `write` returns false while more bytes than this are buffered in the socket. Default: 64 KiB.
   */
  readonly highWaterMark?: number | undefined;
  /**
   * Whether the socket reads into the buffer that all sockets of the thread share, where Node can
   * do that ({@link readBufferState}). Without it Node creates a chunk of 64 KiB for each read.
   * Default: true on Linux, false elsewhere, where it was not measured.
   */
  readonly readBuffer?: boolean | undefined;
}

/**
 * Turns a socket of Node into a {@link Transport}. The transport owns the socket from now on.
 * Nagle's algorithm and the idle timeout are off, every error of the socket is caught, and a FIN of
 * the peer ends only the peer's half.
 *
 * The bytes of a `net.Socket` or `tls.TLSSocket` are passed on without a copy. The bytes of any
 * other Duplex are copied in both directions. That stream may keep them. Such a stream must emit
 * `close` when it is destroyed, as Node's streams do by default.
 *
 * @param socket - Open or connecting, without a `data` listener and without an encoding.
 * @throws RangeError when `highWaterMark` is not a whole number of 1 or more. Error when the socket
 *   is a transport already. TypeError for a stream in object mode, and for a `readBuffer` that is
 *   not a boolean.
 *
 * @example
 * ```ts
 * import { connect, createServer } from 'node:net';
 * import type { AddressInfo } from 'node:net';
 * import { Conn } from '@ws/conn';
 * import { nodePlatform, socketTransport } from '@ws/node-io';
 *
 * // Both ends skip the handshake: frames begin with the first byte.
 * const server = createServer((socket) => {
 *   const conn = new Conn(socketTransport(socket), { role: 'server', platform: nodePlatform });
 *   void conn.receive((message) => conn.send(message));
 * });
 * await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
 * const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
 * const conn = new Conn(socketTransport(socket), { role: 'client', platform: nodePlatform });
 * await conn.send('hello');
 * console.log((await conn.readMessage()).text()); // hello
 * await conn.close();
 * server.close();
 * ```
 */
export function socketTransport(
  socket: Socket | TLSSocket | Duplex,
  options: SocketTransportOptions = {},
): Transport {
  const { head, highWaterMark = HIGH_WATER_MARK } = options;
  const readBuffer = checked(() => {
    const given: Partial<Duplex & WithOwner> | null | undefined = socket;
    // A Conn has a function `pipe` too, which throws.
    if (typeof given?.pipe !== 'function' || isConnLike(given)) {
      throw new TypeError(
        `socketTransport: expected a socket or another Duplex, got ${kind(socket)}`,
      );
    }
    checkHighWaterMark(highWaterMark);
    if (given[OWNER] !== undefined) throw new Error('the socket is a transport already');
    if (given.readableObjectMode || given.writableObjectMode) {
      throw new TypeError('the stream is in object mode and has no bytes');
    }
    return wantsReadBuffer(options.readBuffer);
  }, socketTransport);
  return new SocketTransport(socket, head, highWaterMark, readBuffer);
}

/**
 * Returns the options of the transports of connections. Their high-water mark is at most the default: a
 * ping cannot overtake bytes that the transport has buffered.
 *
 * @param readBuffer - The option of a server or a client.
 * @param highWaterMark - The connection's, in bytes.
 * @throws TypeError when `readBuffer` is not a boolean.
 */
export function transportOptions(
  readBuffer: boolean | undefined,
  highWaterMark: number,
): { readonly readBuffer: boolean; readonly highWaterMark: number } {
  return {
    readBuffer: wantsReadBuffer(readBuffer),
    highWaterMark: Math.min(highWaterMark, HIGH_WATER_MARK),
  };
}

/**
 * Bytes after which a socket pauses until the next turn of the event loop. A turn gets at most one
 * read more: 64 KiB, or one read of 256 KiB into the shared buffer alone. Without the pause libuv
 * (`uv__read` in Node 20) reads 32 times of a socket that always has more. In 8 MiB are 1,400,000
 * of the smallest frames, before any other socket or timer.
 *
 * A read that does not fill the shared buffer ends the turn of a TCP socket, so the count restarts.
 * Elsewhere the count goes on over any number of turns, since a callback for each turn with input
 * costs more. A slow connection also pauses once per 192 KiB, for one turn.
 */
const YIELD_AFTER = 192 * 1024;

/**
 * Most bytes that are queued in a socket. The rest of a large chunk waits in the transport. Node
 * counts a chunk until its last byte is sent, so without this bound a slow peer that reads all the
 * time would look like one that reads nothing.
 */
const MAX_QUEUED = 256 * 1024;

// How a written chunk is handled.
/** TCP sends it at once or queues it: `writableLength` shows which. */
const TCP = 0;
/** TLS always queues it. */
const TLS = 1;
/** A socket without Node's write may keep its chunks, so they are copied. */
const CHANGED = 2;
/** Another kind of stream may keep them too. */
const OTHER = 3;
type Kind = typeof TCP | typeof TLS | typeof CHANGED | typeof OTHER;

/** `pause` was called. */
const BY_READER = 1;
/** The socket waits for the next turn of the event loop. */
const BY_EVENT_LOOP = 2;

/** Node's own `write`, also for TLS. Bun's `_write` differs by the kind of server. */
const NODES: Pick<Socket, 'write'> = Socket.prototype;

function kindOf(socket: Socket | Duplex): Kind {
  if (!(socket instanceof Socket)) return OTHER;
  // A subclass, or a program that simulates a slow network.
  if (socket.write !== NODES.write) return CHANGED;
  return socket instanceof TLSSocket ? TLS : TCP;
}

/** A socket with its transport. */
type Carrier = WithOwner<SocketTransport>;

/** Its methods are not `#` methods: those would cost each socket a word. */
class SocketTransport implements Transport, BufferSink {
  readonly underlying: Socket | Duplex;
  readonly #highWaterMark: number;
  readonly #kind: Kind;
  readonly #readBuffer: boolean;
  /** Early bytes of a socket that had already read its end. */
  #head: Uint8Array | undefined;
  #sink: TransportSink | undefined;
  /**
   * The first error. Null after a `destroy` without an error: newer versions of Node report each
   * write that the destroy cancels as an error of the socket.
   */
  #error: Error | null | undefined;
  /** Bytes that have arrived since the last pause for the event loop. */
  #arrived = 0;
  /** The reasons of a pause, as bits: {@link BY_READER}, {@link BY_EVENT_LOOP}. */
  #paused = 0;
  /** Created when a write has to wait. */
  #backlog: WriteBacklog | undefined;
  /** Bytes that a destroyed socket has not sent, until the close is reported: Node forgets them. */
  #unsent: number | undefined;
  #localAddr: string | undefined;
  #remoteAddr: string | undefined;

  constructor(
    socket: Socket | Duplex,
    head: Uint8Array | undefined,
    highWaterMark: number,
    readBuffer: boolean,
  ) {
    this.underlying = socket;
    this.#highWaterMark = highWaterMark;
    this.#readBuffer = readBuffer && socket instanceof Socket;
    this.#kind = kindOf(socket);
    // A FIN must not end our half. Queued bytes still have to be sent (RFC 6455, section 7.1.1).
    socket.allowHalfOpen = true;
    (socket as Carrier)[OWNER] = this;
    socket.on('error', onError);
    if (socket instanceof Socket) {
      socket.setNoDelay(true);
      socket.setTimeout(0);
    }
    if (head !== undefined && head.length > 0) this.takeEarly(head);
  }

  private takeEarly(head: Uint8Array): void {
    // Copied: the caller may keep it, and in-place unmasking would change it. It is short, and
    // there is only one.
    const copy = Uint8Array.prototype.slice.call(head);
    // Unshifted bytes come before all later reads, also before an end that comes ahead of `start`.
    if (this.underlying.readableEnded) this.#head = copy;
    else this.underlying.unshift(copy);
  }

  /** The buffers of a connection on Linux by default: 4 MiB to send, 6 MiB to receive. */
  get inTransit(): number {
    return 10_485_760;
  }

  get bufferedAmount(): number {
    const queued = this.queued;
    return this.#kind === OTHER ? queued + (this.described.bufferedAmount ?? 0) : queued;
  }

  /** Bytes that wait for a callback of the socket. */
  private get queued(): number {
    if (this.#unsent !== undefined) return this.#unsent;
    return this.underlying.writableLength + (this.#backlog?.bytes ?? 0);
  }

  /** Whether no byte is queued and no write waits for its callback, which Node calls a tick later. */
  private get isEmpty(): boolean {
    return this.underlying.writableLength === 0 && this.#backlog?.pending !== true;
  }

  /** The Transport below the stream, if any. */
  private get described(): Pick<Partial<Transport>, 'bufferedAmount' | 'localAddr' | 'remoteAddr'> {
    return this.underlying as Partial<Transport>;
  }

  get localAddr(): string | undefined {
    if (this.#localAddr === undefined && this.underlying instanceof Socket) {
      this.#localAddr = hostPort(this.underlying.localAddress, this.underlying.localPort);
    }
    return this.#kind === OTHER ? this.described.localAddr : this.#localAddr;
  }

  /** Asked at the first use, which is a system call, and stored: a closed socket has no address. */
  get remoteAddr(): string | undefined {
    if (this.#remoteAddr === undefined && this.underlying instanceof Socket) {
      this.#remoteAddr = hostPort(this.underlying.remoteAddress, this.underlying.remotePort);
    }
    return this.#kind === OTHER ? this.described.remoteAddr : this.#remoteAddr;
  }

  start(sink: TransportSink): void {
    const socket = this.underlying;
    this.#sink = sink;
    // The socket closed during an asynchronous check of the handshake: it will emit no more events.
    if (socket.closed) return void process.nextTick(reportClose, socket);
    if (socket.readableEnded) process.nextTick(reportEnd, socket);
    socket.on('close', onClose);
    socket.on('end', onEnd);
    this.startReading(socket);
    // A listener alone does not resume a socket that was paused before.
    socket.resume();
  }

  /** On Linux the bytes come from the read buffer, which calls {@link data}; elsewhere by 'data'. */
  private startReading(socket: Socket | Duplex): void {
    const intoBuffer = this.#readBuffer && readInto(socket as Socket, this);
    if (!intoBuffer) socket.on('data', onData);
    if (debug.enabled) {
      debug('%s reads %s', this.remoteAddr ?? '?', intoBuffer ? 'into the buffer' : "by 'data'");
    }
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    const socket = this.underlying;
    if (!socket.writable || this.#backlog?.ending === true) {
      // A destroyed socket releases the bytes when it closes. An earlier release would count them
      // as sent.
      if (socket.destroyed && this.#sink !== undefined) this.openBacklog().add(release);
      else this.release(release);
      return true;
    }
    const waits = this.#backlog?.waits === true;
    // An empty chunk needs no room.
    if (chunk.length > 0 && (waits || socket.writableLength + chunk.length > MAX_QUEUED)) {
      this.openBacklog().wait(chunk, release);
      this.giveWaiting();
    } else this.give(chunk, release);
    if (this.queued <= this.#highWaterMark) return true;
    this.openBacklog().needDrain = true;
    return false;
  }

  /** Gives the socket bytes that wait, as many as it may have. */
  private giveWaiting(): void {
    const socket = this.underlying;
    const backlog = this.#backlog!;
    while (backlog.waits && socket.writable) {
      const room = MAX_QUEUED - socket.writableLength;
      const { left } = backlog;
      if (left <= 0) return this.destroy(new PendingBytesMistake());
      // Waits for room for a large piece.
      if (left > room && room < MAX_QUEUED / 2) {
        // Bytes that other code has queued call no callback of ours. An empty write after them does.
        if (!backlog.pending) this.writeAndWait(NO_BYTES, undefined);
        return;
      }
      const piece = backlog.take(Math.min(left, room));
      const release = left > room ? undefined : backlog.takeRelease();
      if (this.#kind >= CHANGED) this.give(piece, release);
      else this.writeAndWait(piece, release);
    }
    if (backlog.ending && !backlog.waits) socket.end();
  }

  private give(chunk: Uint8Array, release: (() => void) | undefined): void {
    const socket = this.underlying;
    if (this.#kind === TCP && socket.writableLength === 0 && socket.writableCorked === 0) {
      socket.write(chunk);
      // The usual case: the kernel has taken all bytes. A write that fails at once also queues no
      // bytes: Node has set `errored` and emits the error after this call.
      if (socket.writableLength === 0 && socket.errored === null) return this.release(release);
      // A part is queued. The callback of an empty write after it shows when it was sent.
      this.writeAndWait(NO_BYTES, release);
    } else if (this.#kind >= CHANGED) {
      // A stream in memory calls back before the other end has read the bytes.
      this.writeAndWait(new Uint8Array(chunk), undefined);
      this.release(release);
    } else {
      this.writeAndWait(chunk, release);
    }
  }

  /** An error of `release` ends this connection. Thrown in a callback, it would end the process. */
  private release(release: (() => void) | undefined): void {
    try {
      release?.();
    } catch (cause) {
      this.destroy(releaseFailed(cause));
    }
  }

  cork(): void {
    this.underlying.cork();
  }

  uncork(): void {
    this.underlying.uncork();
  }

  pause(): void {
    this.#paused |= BY_READER;
    this.underlying.pause();
  }

  resume(): void {
    this.#paused &= ~BY_READER;
    if (this.#paused === 0) this.underlying.resume();
  }

  /** The next turn of the event loop has come. */
  resumeAfterYield(): void {
    this.#paused &= ~BY_EVENT_LOOP;
    this.#arrived = 0;
    if (this.#paused === 0) this.underlying.resume();
  }

  end(): void {
    const socket = this.underlying;
    if (this.#backlog?.waits === true) this.#backlog.ending = true;
    // Nothing is left to read or to send, and no write waits for its callback. The close of a TCP
    // socket sends the same FIN as `end`, and saves a system call and its callback.
    else if (this.#kind === TCP && socket.readableEnded && this.isEmpty) this.destroy();
    else if (socket.writable) socket.end();
  }

  destroy(error?: Error): void {
    if (this.#error === undefined) this.#error = this.underlying.errored ?? error ?? null;
    if (!this.underlying.destroyed) this.#unsent = this.queued;
    this.underlying.destroy(error);
  }

  private openBacklog(): WriteBacklog {
    this.#backlog ??= new WriteBacklog((error) => this.onWritten(error));
    return this.#backlog;
  }

  private writeAndWait(chunk: Uint8Array, release: (() => void) | undefined): void {
    const backlog = this.openBacklog();
    backlog.add(release);
    this.underlying.write(chunk, backlog.onWritten);
  }

  private onWritten(error: Error | null | undefined): void {
    const socket = this.underlying;
    const backlog = this.#backlog;
    // `closed` releases the bytes that a dead socket did not send. For the write that a destroy
    // discards, Node calls back without an error.
    if (error || socket.destroyed || backlog === undefined) return;
    this.release(backlog.takeOldest());
    if (backlog.waits) this.giveWaiting();
    const drains = backlog.needDrain && this.queued <= this.#highWaterMark;
    if (drains) backlog.needDrain = false;
    // On TCP most writes need no callback. An idle connection keeps no backlog.
    if (this.#kind === TCP && backlog.empty && this.#backlog === backlog) this.#backlog = undefined;
    if (drains) this.#sink?.drain();
  }

  data(chunk: Uint8Array, end: number): void {
    if (this.underlying.destroyed) return;
    if (typeof chunk === 'string') {
      return this.destroy(
        new TypeError('the socket has an encoding and reads no bytes; do not call setEncoding()'),
      );
    }
    // This read was not full, so no more has arrived: the count restarts.
    if (this.#kind === TCP && end < chunk.length) this.#arrived = 0;
    else this.#arrived += end;
    if (this.#arrived >= YIELD_AFTER && (this.#paused & BY_EVENT_LOOP) === 0) {
      this.#paused |= BY_EVENT_LOOP;
      this.underlying.pause();
      nodePlatform.yield(() => this.resumeAfterYield());
    }
    this.#sink?.data(this.#kind === OTHER ? new Uint8Array(chunk) : chunk, end);
  }

  /** The call of `sink.data` that runs has lost its bytes. */
  overwritten(): void {
    const error = new TransportError(
      'a read within a handler has overwritten the bytes of the connection; do not write to its socket',
    );
    if (this.#sink?.overwritten === undefined) this.destroy(error);
    else this.#sink.overwritten(error);
  }

  ended(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head !== undefined) this.data(head, head.length);
    if (!this.underlying.destroyed) this.#sink?.end();
  }

  onFailure(error: Error): void {
    if (this.#error === undefined) this.#error = error;
    // Destroys a stream without autoDestroy, which would stay open.
    this.underlying.destroy();
  }

  closed(): void {
    const backlog = this.#backlog;
    const sink = this.#sink;
    const error = this.#error === undefined ? this.underlying.errored : this.#error;
    const isCut = backlog?.pending === true || backlog?.waits === true;
    if (isCut) this.#unsent ??= this.queued || 1;
    this.#backlog = this.#sink = undefined;
    const failure = backlog?.releaseAll();
    sink?.close(error ?? failure);
    this.#unsent = undefined;
  }
}

// A socket calls these with itself as `this`. Some streams pass arguments of their own.

function onData(this: Carrier, chunk: Uint8Array): void {
  this[OWNER]?.data(chunk, chunk.length);
}

function onEnd(this: Carrier): void {
  reportEnd(this);
}

function reportEnd(socket: Carrier): void {
  socket[OWNER]?.ended();
}

function onError(this: Carrier, error: Error): void {
  this[OWNER]?.onFailure(error);
}

function onClose(this: Duplex & Carrier): void {
  reportClose(this);
}

function reportClose(socket: Duplex & Carrier): void {
  const owner = socket[OWNER];
  if (owner === undefined) return;
  socket[OWNER] = undefined;
  if (socket instanceof Socket) stopReadInto(socket);
  socket.off('data', onData);
  socket.off('end', onEnd);
  socket.off('close', onClose);
  // `onError` stays, so that a late error of the socket is not uncaught. It holds no memory.
  owner.closed();
}
