import type { Transport, TransportSink } from '@ws/conn';
import { hex } from './hex.ts';
import { lend } from './lend.ts';

/** Options of a {@link TestTransport}. */
export interface TestTransportOptions {
  /** While blocked, `write` returns false above this many bytes. Default 0: at once. */
  readonly highWaterMark?: number;
  readonly localAddr?: string;
  readonly remoteAddr?: string;
}

interface Held {
  readonly chunk: Uint8Array;
  readonly copy: Uint8Array;
  readonly release: (() => void) | undefined;
}

/**
 * A transport whose other end is the test. It records writes. The test feeds bytes, and blocks, ends or breaks the
 * socket. It throws if written bytes change before their release.
 */
export class TestTransport implements Transport {
  /** A copy of each write, in order. */
  readonly writes: Uint8Array[] = [];
  /** Number of release functions received, and of those called. */
  releasesGiven = 0;
  releasesRun = 0;
  /** Number of writes after `end`, `destroy` or `close`. They are dropped. */
  ignoredWrites = 0;
  /** Number of `cork` calls minus `uncork` calls. */
  corked = 0;
  paused = false;
  /** `end` was called. */
  ended = false;
  /** `destroy` was called, with {@link destroyError} if any. */
  destroyed = false;
  destroyError: Error | undefined;
  /** `sink.close` was called. */
  closed = false;
  /** Set by `start`. */
  sink: TransportSink | undefined;
  readonly localAddr: string | undefined;
  readonly remoteAddr: string | undefined;
  readonly #highWaterMark: number;
  readonly #held: Held[] = [];
  /** Chunks and the FIN that arrived while paused. */
  readonly #arriving: (Uint8Array | 'end')[] = [];
  /** Bytes that were held when it closed, while it reports its close. */
  #unsent = 0;
  #blocked = false;
  #owesDrain = false;
  #peerEnded = false;
  #closing = false;

  constructor(options: TestTransportOptions = {}) {
    this.#highWaterMark = options.highWaterMark ?? 0;
    this.localAddr = options.localAddr;
    this.remoteAddr = options.remoteAddr;
  }

  get bufferedAmount(): number {
    return this.#held.reduce((sum, { copy }) => sum + copy.length, this.#unsent);
  }

  /** All written bytes, joined. */
  get sent(): Uint8Array {
    return concat(this.writes);
  }

  /** Returns and forgets the bytes written since the last call. */
  takeSent(): Uint8Array {
    return concat(this.writes.splice(0));
  }

  /** Delivers bytes as one chunk, after `resume` while paused. A string is hexadecimal. */
  feed(bytes: Uint8Array | string): void {
    this.#arrive(typeof bytes === 'string' ? hex(bytes) : Uint8Array.from(bytes));
  }

  /** Delivers bytes in spite of `pause`, as if they had been in flight. */
  feedLate(bytes: Uint8Array | string): void {
    lend(this.#sinkOf(), typeof bytes === 'string' ? hex(bytes) : bytes);
  }

  /** Delivers a FIN after all fed bytes. */
  feedEnd(): void {
    this.#arrive('end');
  }

  /** Closes the connection as a RST does, with an optional error. */
  break(error?: Error): void {
    this.#close(error);
  }

  /** Makes the socket accept no more bytes: it holds writes and their release functions. */
  block(): void {
    this.#blocked = true;
  }

  /** Accepts `writes` held writes, by default all. After the last one, the socket unblocks and calls `drain`. */
  drain(writes = Infinity): void {
    for (const held of this.#held.splice(0, writes)) this.#release(held);
    if (this.#held.length > 0) return;
    this.#blocked = false;
    if (this.#owesDrain) {
      this.#owesDrain = false;
      this.#sinkOf().drain();
    }
    this.#closeWhenBothEnded();
  }

  start(sink: TransportSink): void {
    if (this.sink !== undefined) throw new Error('the transport was started twice');
    this.sink = sink;
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    if (release !== undefined) this.releasesGiven++;
    const held = { chunk, copy: Uint8Array.from(chunk), release };
    if (this.ended || this.destroyed || this.#closing) {
      this.ignoredWrites++;
      this.#release(held);
      return true;
    }
    this.writes.push(held.copy);
    if (!this.#blocked) {
      this.#release(held);
      return true;
    }
    this.#held.push(held);
    if (this.bufferedAmount <= this.#highWaterMark) return true;
    this.#owesDrain = true;
    return false;
  }

  cork(): void {
    this.corked++;
  }

  uncork(): void {
    this.corked--;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    // A socket does not deliver within the call either.
    queueMicrotask(() => this.#deliver());
  }

  end(): void {
    this.ended = true;
    this.#closeWhenBothEnded();
  }

  destroy(error?: Error): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.destroyError = error;
    this.#close(error);
  }

  #arrive(what: Uint8Array | 'end'): void {
    this.#arriving.push(what);
    this.#sinkOf();
    this.#deliver();
  }

  #deliver(): void {
    while (!this.paused && !this.#closing) {
      const next = this.#arriving.shift();
      if (next === undefined) return;
      if (next !== 'end') lend(this.#sinkOf(), next);
      else {
        this.#peerEnded = true;
        this.#sinkOf().end();
        this.#closeWhenBothEnded();
      }
    }
  }

  #release({ chunk, copy, release }: Held): void {
    if (copy.some((byte, i) => byte !== chunk[i])) throw new Error('written bytes were changed');
    if (release === undefined) return;
    this.releasesRun++;
    release();
  }

  #closeWhenBothEnded(): void {
    if (this.ended && this.#peerEnded && this.#held.length === 0) this.#close(undefined);
  }

  #close(error: Error | undefined): void {
    if (this.#closing) return;
    this.#closing = true;
    queueMicrotask(() => {
      this.#unsent = this.#held.reduce((sum, { copy }) => sum + copy.length, 0);
      for (const held of this.#held.splice(0)) this.#release(held);
      this.closed = true;
      this.sink?.close(error);
      this.#unsent = 0;
    });
  }

  #sinkOf(): TransportSink {
    if (this.sink === undefined) throw new Error('the transport was not started');
    return this.sink;
  }
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(chunks));
}
