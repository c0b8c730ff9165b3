import type { Transport, TransportSink } from '@ws/conn';
import { hex } from './hex.ts';

/** What a {@link TestTransport} can be told. */
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
 * A transport with the test at its other end: what is written is recorded, what arrives is fed, and the socket blocks,
 * ends and breaks on command. It holds writers to the contract: bytes that change before they were released throw.
 */
export class TestTransport implements Transport {
  /** A copy of each write, in their order. */
  readonly writes: Uint8Array[] = [];
  /** How many release functions were given, and how many of them have run. */
  releasesGiven = 0;
  releasesRun = 0;
  /** Writes that came after `end`, `destroy` or `close`, and went nowhere. */
  ignoredWrites = 0;
  /** `cork` calls not answered by `uncork` yet. */
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
  /** What arrives while paused: chunks, and the end. */
  readonly #arriving: (Uint8Array | 'end')[] = [];
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
    return this.#held.reduce((sum, { copy }) => sum + copy.length, 0);
  }

  /** All bytes that were written, joined. */
  get sent(): Uint8Array {
    return concat(this.writes);
  }

  /** Gives what was written since the last call, joined, and forgets it. */
  takeSent(): Uint8Array {
    return concat(this.writes.splice(0));
  }

  // The test's end.

  /** Bytes arrive, as a chunk of their own; while paused they wait for `resume`. A string is hexadecimal. */
  feed(bytes: Uint8Array | string): void {
    this.#arrive(typeof bytes === 'string' ? hex(bytes) : Uint8Array.from(bytes));
  }

  /** Bytes arrive in spite of `pause`: those that were on their way. */
  feedLate(bytes: Uint8Array | string): void {
    this.#sinkOf().data(typeof bytes === 'string' ? hex(bytes) : Uint8Array.from(bytes));
  }

  /** The peer sends a FIN, behind all that was fed. */
  feedEnd(): void {
    this.#arrive('end');
  }

  /** The connection breaks: a reset, or whatever `error` says. */
  break(error?: Error): void {
    this.#close(error);
  }

  /** From here on the socket takes no bytes: writes are kept with their release functions. */
  block(): void {
    this.#blocked = true;
  }

  /** The socket takes `writes` of those it kept, all by default; the last one taken unblocks it and brings `drain`. */
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

  // The Conn's end.

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
    // Not within the call, as with a socket.
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
      if (next !== 'end') this.#sinkOf().data(next);
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
      for (const held of this.#held.splice(0)) this.#release(held);
      this.closed = true;
      this.sink?.close(error);
    });
  }

  #sinkOf(): TransportSink {
    if (this.sink === undefined) throw new Error('the transport was not started');
    return this.sink;
  }
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    joined.set(chunk, at);
    at += chunk.length;
  }
  return joined;
}
