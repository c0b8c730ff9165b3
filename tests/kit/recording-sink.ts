import type { TransportSink } from '@ws/conn';

/** What a transport told a {@link RecordingSink}. */
export type SinkCall = 'data' | 'drain' | 'end' | 'close';

/** A sink that keeps what it is told, and lets a test wait for more. */
export class RecordingSink implements TransportSink {
  /** Every call by name, in their order. */
  readonly calls: SinkCall[] = [];
  /** Copies, made before {@link onData} could change the chunk. */
  readonly chunks: Uint8Array[] = [];
  /** Bytes received so far. */
  size = 0;
  /** What `close` was given. */
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

  /** Resolves once `call` was made, or as soon as `holds` does after a call. */
  async until(call: SinkCall | (() => boolean)): Promise<void> {
    const holds = typeof call === 'string' ? () => this.calls.includes(call) : call;
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  data(chunk: Uint8Array): void {
    this.chunks.push(Uint8Array.from(chunk));
    this.size += chunk.length;
    this.onData?.(chunk);
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
