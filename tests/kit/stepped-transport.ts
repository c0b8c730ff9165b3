import type { Platform, Transport, TransportSink } from '@ws/conn';
import { lend } from './lend.ts';

/** Behaviour of a {@link SteppedTransport}. */
export interface SteppedTransportOptions {
  /** Lengths of the chunks that arrive, in bytes. Repeats. */
  readonly cuts: readonly number[];
  /** Number of steps without a chunk after each chunk. Repeats. */
  readonly stalls: readonly number[];
  /** Bytes in transit above which `write` returns false. */
  readonly highWaterMark: number;
}

interface Held {
  readonly chunk: Uint8Array;
  readonly release: (() => void) | undefined;
  at: number;
}

/**
 * One end of a connection in memory. Bytes move only in `step`. They are copied on arrival, not on
 * `write`: a buffer that is reused too early arrives with wrong bytes.
 */
export class SteppedTransport implements Transport {
  peer!: SteppedTransport;
  readonly #options: SteppedTransportOptions;
  readonly #platform: Platform;
  #sink!: TransportSink;
  /** Chunks in transit. */
  readonly #held: Held[] = [];
  #bytes = 0;
  #needsDrain = false;
  #paused = false;
  #ended = false;
  #endArrived = false;
  #destroyed = false;
  #steps = 0;
  #stall = 0;

  constructor(platform: Platform, options: SteppedTransportOptions) {
    this.#platform = platform;
    this.#options = options;
  }

  get bufferedAmount(): number {
    return this.#bytes;
  }

  start(sink: TransportSink): void {
    this.#sink = sink;
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    if (this.#ended || this.#destroyed) {
      release?.();
      return true;
    }
    this.#held.push({ chunk, release, at: 0 });
    this.#bytes += chunk.length;
    this.#needsDrain = this.#bytes > this.#options.highWaterMark;
    return !this.#needsDrain;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  end(): void {
    this.#ended = true;
  }

  destroy(error?: Error): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#ended = true;
    this.#bytes = 0;
    for (const { release } of this.#held.splice(0)) release?.();
    this.#platform.defer(() => this.#sink.close(error));
  }

  /** Simulates a network failure: bytes in transit are lost in both directions. */
  break(): void {
    for (const end of [this, this.peer]) end.destroy(new Error('the transport is broken'));
  }

  /** Delivers the next chunk to the peer, or stalls. `size` is the minimum of the chunk, in bytes. */
  step(size = 1): void {
    const { cuts, stalls } = this.#options;
    if (this.#stall > 0) {
      this.#stall--;
      return;
    }
    this.#stall = stalls[this.#steps % stalls.length]!;
    const most = Math.max(size, cuts[this.#steps++ % cuts.length]!);
    if (this.peer.#paused || this.peer.#destroyed) return;
    const chunk = this.#take(most);
    if (chunk.length > 0) lend(this.peer.#sink, chunk);
    if (this.#needsDrain && this.#bytes <= this.#options.highWaterMark) {
      this.#needsDrain = false;
      this.#sink.drain();
    }
    if (!this.#ended || this.#bytes > 0 || this.#endArrived) return;
    this.#endArrived = true;
    this.peer.#sink.end();
    if (this.peer.#endArrived) {
      this.destroy();
      this.peer.destroy();
    }
  }

  #take(most: number): Uint8Array {
    const pieces: Uint8Array[] = [];
    for (let left = most; left > 0 && this.#held.length > 0; ) {
      const held = this.#held[0]!;
      const piece = held.chunk.slice(held.at, held.at + left);
      pieces.push(piece);
      held.at += piece.length;
      left -= piece.length;
      this.#bytes -= piece.length;
      if (held.at < held.chunk.length) continue;
      this.#held.shift();
      held.release?.();
    }
    return Uint8Array.from(Buffer.concat(pieces));
  }
}
