import type { Transport, TransportSink } from '@ws/conn';

/** What a connection writes to, with the test at its other end. */
export interface Wire {
  readonly transport: Transport;
  /** Is given the bytes that have left. */
  onBytes: (chunk: Uint8Array) => void;
  /** Whether nothing leaves for a while. */
  holds: boolean;
  /** What waits leaves, unless it is held. */
  leave(): void;
  /** Bytes arrive, which are the connection's from then on. */
  feed(chunk: Uint8Array): void;
  /** The connection is lost. */
  destroy(error?: Error): void;
}

interface Written {
  readonly chunk: Uint8Array;
  readonly release: (() => void) | undefined;
}

/** Bytes that wait before the wire says that it is full. */
const MARK = 65_536;

/**
 * The wire of a connection in memory. Bytes leave when they are asked to, as a socket's do, and are looked at then: what
 * was changed meanwhile is seen.
 */
export class MemoryWire implements Wire, Transport {
  readonly transport: Transport = this;
  onBytes: (chunk: Uint8Array) => void = () => {};
  holds = false;
  /** Says that it is done with bytes that it is still to read: what a broken transport may do. */
  hurries = false;
  ended = false;
  destroyed = false;
  paused = false;
  #waiting: Written[] = [];
  #waits = 0;
  #owesDrain = false;
  #arriving: Uint8Array[] = [];
  #sink: TransportSink | undefined;
  #closed = false;

  get bufferedAmount(): number {
    return this.#waits;
  }

  start(sink: TransportSink): void {
    this.#sink = sink;
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    if (this.ended || this.destroyed) {
      release?.();
      return true;
    }
    if (this.hurries) release?.();
    this.#waiting.push({ chunk, release: this.hurries ? undefined : release });
    this.#waits += chunk.length;
    if (this.#waits < MARK) return true;
    this.#owesDrain = true;
    return false;
  }

  leave(): void {
    if (this.holds || this.#closed) return;
    const leaving = this.#waiting;
    this.#waiting = [];
    this.#waits = 0;
    for (const { chunk, release } of leaving) {
      // Its owner has given the memory away, in spite of all that was asked: the stream cannot go on.
      if (chunk.byteLength === 0) this.destroy(new Error('bytes were detached'));
      if (!this.destroyed) this.onBytes(chunk);
      release?.();
    }
    if (this.#owesDrain && !this.destroyed) {
      this.#owesDrain = false;
      this.#sink!.drain();
    }
    if (this.ended) this.destroy();
  }

  feed(chunk: Uint8Array): void {
    this.#arriving.push(chunk);
    this.#deliver();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    queueMicrotask(() => this.#deliver());
  }

  end(): void {
    this.ended = true;
  }

  destroy(error?: Error): void {
    if (this.destroyed) return;
    this.destroyed = true;
    queueMicrotask(() => this.#close(error));
  }

  #deliver(): void {
    while (!this.paused && !this.destroyed) {
      const chunk = this.#arriving.shift();
      if (chunk === undefined) return;
      this.#sink!.data(chunk);
    }
  }

  #close(error: Error | undefined): void {
    this.#closed = true;
    for (const { release } of this.#waiting.splice(0)) release?.();
    this.#arriving = [];
    this.#sink!.close(error);
  }
}
