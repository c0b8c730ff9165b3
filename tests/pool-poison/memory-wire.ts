import type { Transport, TransportSink } from '@ws/conn';
import { lend } from '@ws/tests';

/** The transport of a connection with the test at its other end. */
export interface Wire {
  readonly transport: Transport;
  /** Gets the sent bytes. */
  onBytes: (chunk: Uint8Array) => void;
  /** Sends nothing while true. */
  holds: boolean;
  /** Sends waiting bytes, unless held. */
  leave(): void;
  /** Delivers bytes. */
  feed(chunk: Uint8Array): void;
  /** Breaks the connection. */
  destroy(error?: Error): void;
}

interface Written {
  readonly chunk: Uint8Array;
  readonly release: (() => void) | undefined;
}

/** High-water mark in bytes. */
const MARK = 65_536;

/**
 * A wire in memory. Bytes are read when `leave` is called, like those of a socket, so a later
 * change of their memory is seen.
 */
export class MemoryWire implements Wire, Transport {
  readonly transport: Transport = this;
  onBytes: (chunk: Uint8Array) => void = () => {};
  holds = false;
  /** Releases bytes before it reads them, like a broken transport. */
  releasesEarly = false;
  ended = false;
  destroyed = false;
  paused = false;
  #waiting: Written[] = [];
  #waits = 0;
  #needsDrain = false;
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
    if (this.releasesEarly) release?.();
    this.#waiting.push({ chunk, release: this.releasesEarly ? undefined : release });
    this.#waits += chunk.length;
    if (this.#waits < MARK) return true;
    this.#needsDrain = true;
    return false;
  }

  leave(): void {
    if (this.holds || this.#closed) return;
    const leaving = this.#waiting;
    this.#waiting = [];
    this.#waits = 0;
    for (const { chunk, release } of leaving) {
      // The caller detached the memory: the stream cannot continue.
      if (chunk.byteLength === 0) this.destroy(new Error('bytes were detached'));
      if (!this.destroyed) this.onBytes(chunk);
      release?.();
    }
    if (this.#needsDrain && !this.destroyed) {
      this.#needsDrain = false;
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
      lend(this.#sink!, chunk);
    }
  }

  #close(error: Error | undefined): void {
    this.#closed = true;
    for (const { release } of this.#waiting.splice(0)) release?.();
    this.#arriving = [];
    this.#sink!.close(error);
  }
}
