import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Transport, TransportSink } from '@ws/conn';

/** What {@link socketTransport} can be told. */
export interface SocketTransportOptions {
  /** Bytes that were read from the socket before (the `head` of an upgrade): delivered first. Copied. */
  readonly head?: Uint8Array | undefined;
  /** `write` returns false while more bytes than this wait in the socket. Default: 64 KiB. */
  readonly highWaterMark?: number | undefined;
}

/**
 * Makes a socket of Node a {@link Transport}. The socket is the transport's from then on: Nagle's algorithm and the
 * idle timeout are switched off, an `error` of it is never uncaught, and a FIN of the peer ends only the peer's half.
 *
 * What a `net.Socket` or `tls.TLSSocket` reads and writes is passed on as it is; what any other Duplex reads and writes
 * is copied, since others may hold it. Such a stream must emit `close` when it is destroyed, as Node's do by default.
 *
 * @param socket - Open or still connecting, with no `data` listener and no encoding set.
 * @throws RangeError when `highWaterMark` is not a number of bytes; Error when the socket is a transport already.
 */
export function socketTransport(
  socket: Socket | TLSSocket | Duplex,
  options: SocketTransportOptions = {},
): Transport {
  const highWaterMark = options.highWaterMark ?? 64 * 1024;
  if (!Number.isSafeInteger(highWaterMark) || highWaterMark < 1) {
    throw new RangeError(`highWaterMark: expected a whole number from 1 on, got ${highWaterMark}`);
  }
  if (hasTransport(socket)) throw new Error('the socket is a transport already');
  return new SocketTransport(socket, options.head, highWaterMark);
}

/** Says whether `socket` was made a transport, and is not closed yet. */
export function hasTransport(socket: Duplex): boolean {
  return (socket as Owned)[OWNER] !== undefined;
}

const OWNER = Symbol('transport');
/**
 * After so many bytes a socket rests until the next turn of the event loop: what libuv reads next, at most 64 KiB, makes
 * 256 KiB of it. By itself libuv reads 2 MiB of a socket that always has more, 350,000 of the smallest frames, before
 * any other socket or timer has its turn.
 */
const A_TURN = 192 * 1024;
const NOTHING = new Uint8Array(0);

/** The listeners find their transport on the socket, so that a connection holds not one closure. */
interface Owned {
  [OWNER]?: SocketTransport | undefined;
}

// What becomes of a chunk that is written.
/** TCP takes it at once or queues it; `writableLength` tells which. */
const TCP = 0;
/** TLS always queues it. */
const TLS = 1;
/** Others may hold what a stream of another kind is given: it is copied. */
const OTHER = 2;

class SocketTransport implements Transport {
  readonly underlying: Socket | Duplex;
  readonly #highWaterMark: number;
  readonly #kind: typeof TCP | typeof TLS | typeof OTHER;
  /** Early bytes of a socket that had read its end before it was given to us. */
  #head: Uint8Array | undefined;
  #sink: TransportSink | undefined;
  #error: Error | undefined;
  #destroyed = false;
  /** Bytes that have come since it last rested. */
  #arrived = 0;
  #resting = false;
  /** Whoever reads has paused it. */
  #paused = false;
  /** Made when a write has to wait. */
  #backlog: Backlog | undefined;
  #localAddr: string | undefined;

  constructor(socket: Socket | Duplex, head: Uint8Array | undefined, highWaterMark: number) {
    this.underlying = socket;
    this.#highWaterMark = highWaterMark;
    this.#kind = socket instanceof TLSSocket ? TLS : socket instanceof Socket ? TCP : OTHER;
    // A FIN must not end our half: what is queued still has to leave (RFC 6455, section 7.1.1).
    socket.allowHalfOpen = true;
    (socket as Owned)[OWNER] = this;
    socket.on('error', onError);
    if (socket instanceof Socket) {
      socket.setNoDelay(true);
      socket.setTimeout(0);
      // Node remembers the peer's address once asked, also beyond the socket's end, when logs want it.
      void socket.remoteAddress;
    }
    if (head !== undefined && head.length > 0) this.#takeEarly(head);
  }

  #takeEarly(head: Uint8Array): void {
    // Whoever gave it may hold it, and in-place unmasking would change it. It is short, and there is one.
    const copy = Uint8Array.prototype.slice.call(head);
    // In the socket it stands before all that is read, also before an end that comes ahead of `start`.
    if (this.underlying.readableEnded) this.#head = copy;
    else this.underlying.unshift(copy);
  }

  get bufferedAmount(): number {
    return this.underlying.writableLength;
  }

  get localAddr(): string | undefined {
    if (this.#localAddr === undefined && this.underlying instanceof Socket) {
      this.#localAddr = hostPort(this.underlying.localAddress, this.underlying.localPort);
    }
    return this.#localAddr;
  }

  get remoteAddr(): string | undefined {
    const { underlying } = this;
    if (!(underlying instanceof Socket)) return undefined;
    return hostPort(underlying.remoteAddress, underlying.remotePort);
  }

  start(sink: TransportSink): void {
    const socket = this.underlying;
    this.#sink = sink;
    // It died while a check of the handshake was awaited: its events are over.
    if (socket.closed) return void process.nextTick(onClose, socket);
    if (socket.readableEnded) process.nextTick(onEnd, socket);
    socket.on('close', onClose);
    socket.on('end', onEnd);
    socket.on('data', onData);
    // Listening alone does not start a socket that was paused before.
    socket.resume();
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    const socket = this.underlying;
    if (!socket.writable) {
      // A dead socket gives bytes back with its end, so that nobody takes them for sent before that is told.
      if (socket.destroyed && this.#sink !== undefined) this.#waits().add(release);
      else release?.();
      return true;
    }
    if (this.#kind === TCP && socket.writableLength === 0 && socket.writableCorked === 0) {
      socket.write(chunk);
      // The usual case: the kernel has taken everything, and there is nothing to wait for. A write that fails at once
      // leaves nothing to wait for either, and tells it in a later tick.
      if (socket.writableLength === 0 && socket.errored === null) {
        release?.();
        return true;
      }
      // Part of it waits. An empty write behind it tells when it is gone.
      this.#writeAndWait(NOTHING, release);
    } else if (this.#kind === OTHER) {
      // A stream in memory passes on what was written, and says that it is done before anybody has read it.
      this.#writeAndWait(new Uint8Array(chunk), undefined);
      release?.();
    } else {
      this.#writeAndWait(chunk, release);
    }
    if (socket.writableLength <= this.#highWaterMark) return true;
    this.#waits().needDrain = true;
    return false;
  }

  cork(): void {
    this.underlying.cork();
  }

  uncork(): void {
    this.underlying.uncork();
  }

  pause(): void {
    this.#paused = true;
    this.underlying.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#resting) this.underlying.resume();
  }

  /** The turn in which it has brought enough is over. */
  rested(): void {
    this.#resting = false;
    this.#arrived = 0;
    if (!this.#paused) this.underlying.resume();
  }

  end(): void {
    if (this.underlying.writable) this.underlying.end();
  }

  destroy(error?: Error): void {
    this.#destroyed = true;
    this.underlying.destroy(error);
  }

  #waits(): Backlog {
    this.#backlog ??= new Backlog((error) => this.#onWritten(error));
    return this.#backlog;
  }

  #writeAndWait(chunk: Uint8Array, release: (() => void) | undefined): void {
    const backlog = this.#waits();
    backlog.add(release);
    this.underlying.write(chunk, backlog.onWritten);
  }

  #onWritten(error: Error | null | undefined): void {
    const socket = this.underlying;
    const backlog = this.#backlog;
    // What a dead socket did not send is given back with its end, told or not: Node calls the callback of the write
    // that it destroys without an error.
    if (error instanceof Error || socket.destroyed || backlog === undefined) return;
    backlog.releaseOldest();
    const drains = backlog.needDrain && socket.writableLength <= this.#highWaterMark;
    if (drains) backlog.needDrain = false;
    // Where most writes have nothing to wait for, an idle connection keeps nothing of those that had.
    if (this.#kind === TCP && backlog.empty && this.#backlog === backlog) this.#backlog = undefined;
    if (drains) this.#sink?.drain();
  }

  data(chunk: Uint8Array): void {
    if (this.#destroyed) return;
    if (typeof chunk === 'string') {
      return this.destroy(new TypeError('the socket has an encoding set and reads no bytes'));
    }
    this.#arrived += chunk.length;
    if (this.#arrived >= A_TURN && !this.#resting) {
      this.#resting = true;
      this.underlying.pause();
      setImmediate(onRested, this);
    }
    this.#sink?.data(this.#kind === OTHER ? new Uint8Array(chunk) : chunk);
  }

  ended(): void {
    const head = this.#head;
    this.#head = undefined;
    if (head !== undefined) this.data(head);
    if (!this.#destroyed) this.#sink?.end();
  }

  failed(error: Error): void {
    this.#error ??= error;
    // A stream without autoDestroy would live on, of use to nobody.
    this.underlying.destroy();
  }

  closed(): void {
    const backlog = this.#backlog;
    const sink = this.#sink;
    const error = this.#error ?? this.underlying.errored ?? undefined;
    this.#backlog = this.#sink = undefined;
    backlog?.releaseAll();
    sink?.close(error);
  }
}

/** Writes whose callback is awaited. Node calls those in their order, so one function and a queue serve them all. */
class Backlog {
  /** The socket is to fall to its mark, and that is to be told. */
  needDrain = false;
  readonly onWritten: (error?: Error | null) => void;
  /** Oldest first. */
  readonly #releases: ((() => void) | undefined)[] = [];

  constructor(onWritten: (error?: Error | null) => void) {
    this.onWritten = onWritten;
  }

  /** Whether nothing waits, and nothing is to be told. */
  get empty(): boolean {
    return this.#releases.length === 0 && !this.needDrain;
  }

  add(release: (() => void) | undefined): void {
    this.#releases.push(release);
  }

  releaseOldest(): void {
    this.#releases.shift()?.();
  }

  releaseAll(): void {
    for (const release of this.#releases) release?.();
  }
}

// Called by the socket, where `this` is the socket, and by nextTick, where it comes as an argument.

function onData(this: Owned, chunk: Uint8Array): void {
  this[OWNER]?.data(chunk);
}

function onRested(transport: SocketTransport): void {
  transport.rested();
}

function onEnd(this: unknown, socket: unknown = this): void {
  (socket as Owned)[OWNER]?.ended();
}

function onError(this: Owned, error: Error): void {
  this[OWNER]?.failed(error);
}

function onClose(this: unknown, arg: unknown): void {
  const socket = (typeof arg === 'object' ? arg : this) as Duplex & Owned;
  const owner = socket[OWNER];
  if (owner === undefined) return;
  socket[OWNER] = undefined;
  socket.off('data', onData);
  socket.off('end', onEnd);
  socket.off('close', onClose);
  // `onError` stays: an error after the end, of whatever the socket still does, must not be uncaught. It holds nothing.
  owner.closed();
}

function hostPort(host: string | undefined, port: number | undefined): string | undefined {
  if (host === undefined || port === undefined) return undefined;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
