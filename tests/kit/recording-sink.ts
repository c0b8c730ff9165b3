import type { TransportSink } from '@ws/conn';

/** A call of a {@link RecordingSink}. */
export type SinkCall = 'data' | 'drain' | 'end' | 'close';

/** A transport sink that records its calls and lets a test wait for them. */
export class RecordingSink implements TransportSink {
  /** All calls, in order. */
  readonly calls: SinkCall[] = [];
  /** Copies of the chunks, made before {@link onData}. */
  readonly chunks: Uint8Array[] = [];
  /** Bytes received so far. */
  size = 0;
  /** Argument of `close`. */
  error: Error | undefined;
  onData: ((chunk: Uint8Array) => void) | undefined;
  readonly #waiting = new Set<() => void>();

  /** All bytes received so far, joined. */
  get received(): Uint8Array {
    return Buffer.concat(this.chunks);
  }

  count(call: SinkCall): number {
    return this.calls.filter((one) => one === call).length;
  }

  /** Waits for a call, or for a condition that is tested after each call. */
  async until(call: SinkCall | (() => boolean)): Promise<void> {
    const holds = typeof call === 'string' ? () => this.calls.includes(call) : call;
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  data(chunk: Uint8Array, end: number = chunk.length): void {
    this.chunks.push(new Uint8Array(chunk.subarray(0, end)));
    this.size += end;
    this.onData?.(chunk.subarray(0, end));
    this.#note('data');
  }

  drain(): void {
    this.#note('drain');
  }

  end(): void {
    this.#note('end');
  }

  close(error?: Error): void {
    this.error = error;
    this.#note('close');
  }

  #note(call: SinkCall): void {
    this.calls.push(call);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}
