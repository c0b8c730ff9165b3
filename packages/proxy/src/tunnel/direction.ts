import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Flow } from './link.ts';
import type { Tunnel } from './tunnel.ts';

/** A socket finds its direction, so that a connection has no closures. */
const DIRECTION = Symbol('direction');
interface Owned extends Duplex {
  [DIRECTION]?: Direction;
}

/**
 * One direction of a tunnel: chunks go from the source to the sink as they come. The source pauses
 * while more than `highWaterMark` bytes wait in the sink, so at most that many and one chunk are
 * held, whatever the size of a message.
 */
export class Direction implements Flow {
  bytes = 0;
  frames = 0;
  messages = 0;
  /** The source has sent its FIN. */
  sourceEnded = false;
  readonly source: Duplex;
  readonly sink: Duplex;
  reverse: Direction | undefined = undefined;
  /** What the source still sends is dropped. */
  drops = false;
  readonly #tunnel: Tunnel<Direction>;
  /** Chunks that wait in the sink. */
  readonly #highWaterMark: number;

  constructor(source: Duplex, sink: Duplex, tunnel: Tunnel<Direction>) {
    this.source = source;
    this.sink = sink;
    this.#tunnel = tunnel;
    this.#highWaterMark = tunnel.plan.client.highWaterMark;
  }

  /** @param early - Bytes that were read from the source before. */
  start(early: Uint8Array): void {
    const { source } = this;
    (source as Owned)[DIRECTION] = this;
    // A FIN ends one direction only.
    source.allowHalfOpen = true;
    source.on('data', onData).on('end', onEnd).on('close', onClose);
    source.on('error', onError).on('drain', onDrain);
    if (early.length > 0) this.receive(early);
    if (source.destroyed) process.nextTick(onClose.bind(source));
    else if (!this.#isFull()) source.resume();
  }

  receive(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.forward(chunk);
  }

  /** Writes to the sink and pauses the source when too much waits there. */
  protected forward(chunk: Uint8Array): void {
    if (chunk.length === 0 || this.drops || !this.sink.writable) return;
    if (this.sink.write(chunk) || !this.#isFull()) return;
    this.source.pause();
  }

  /** The sink has taken all bytes. */
  drained(): void {
    this.source.resume();
  }

  /** The source has sent its FIN. */
  end(): void {
    this.sourceEnded = true;
    this.#tunnel.sourceEnded(this);
  }

  closed(): void {
    this.#tunnel.closed(this);
  }

  /** Ends the sink after the bytes that wait in it. */
  endSink(): void {
    this.sink.end();
  }

  /** Bytes that pass before the sink ends; 0 while nothing ends it. */
  get beforeEnd(): number {
    return this.sink.writableEnded ? this.sink.writableLength : 0;
  }

  #isFull(): boolean {
    const { sink } = this;
    return sink.writableNeedDrain && sink.writableLength >= this.#highWaterMark;
  }
}

function onData(this: Owned, chunk: Buffer): void {
  this[DIRECTION]!.receive(chunk);
}

function onEnd(this: Owned): void {
  this[DIRECTION]!.end();
}

function onClose(this: Owned): void {
  this[DIRECTION]!.closed();
}

/** The tunnel reads the error from the stream. */
function onError(): void {}

function onDrain(this: Owned): void {
  this[DIRECTION]!.reverse!.drained();
}

/**
 * Destroys a socket. The peer of plain TCP sees a reset, unless a FIN is in flight; that of a stream of
 * HTTP/2 sees CANCEL.
 */
export function reset(socket: Duplex): void {
  // Node cannot reset with a FIN in flight: 'close' would never come.
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (!(socket instanceof Socket) || socket instanceof TLSSocket || isEnding) {
    return void socket.destroy();
  }
  try {
    if (!socket.destroyed) socket.resetAndDestroy();
  } catch {
    // Node throws for a Unix socket.
    socket.destroy();
  }
}
