import type { Host, Transport, TransportSink } from '@ws/conn';

/** How a {@link Wire} behaves. */
export interface WireOptions {
  /** Lengths of the chunks that arrive, in turn. */
  readonly cuts: readonly number[];
  /** How many steps in a row nothing arrives, in turn. */
  readonly stalls: readonly number[];
  /** Bytes on their way above which `write` returns false. */
  readonly highWaterMark: number;
}

interface Held {
  readonly chunk: Uint8Array;
  readonly release: (() => void) | undefined;
  at: number;
}

/**
 * One end of a connection in memory that moves only when `step` is called. What is written is looked at when it
 * arrives, not before: bytes that were used again too soon arrive wrong.
 */
export class Wire implements Transport {
  peer!: Wire;
  readonly #options: WireOptions;
  readonly #host: Host;
  #sink!: TransportSink;
  /** Written, and on its way. */
  readonly #held: Held[] = [];
  #bytes = 0;
  #needsDrain = false;
  #paused = false;
  #ended = false;
  #endArrived = false;
  #destroyed = false;
  #steps = 0;
  #stall = 0;

  constructor(host: Host, options: WireOptions) {
    this.#host = host;
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
    this.#host.defer(() => this.#sink.close(error));
  }

  /** The network fails: what is on its way, in either direction, is lost. */
  break(): void {
    for (const end of [this, this.peer]) end.destroy(new Error('the wire is broken'));
  }

  /** Lets a chunk of at least `size` arrive at the other end, if there is so much, unless there is a stall. */
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
    if (chunk.length > 0) this.peer.#sink.data(chunk);
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
