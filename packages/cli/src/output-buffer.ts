import type { Writable } from 'node:stream';
import { type Failure, inputOutput } from './failure.ts';
import { drained } from './io.ts';

/**
 * Prints what comes in one turn of the event loop as one write, and waits for a slow reader. A
 * million short messages are few writes.
 */
export class OutputBuffer {
  readonly #stream: Writable;
  #isCorked = false;
  #drained: Promise<void> | undefined;
  #failure: Failure | undefined;
  #onFailure: (failure: Failure) => void = () => {};

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error) => {
      this.#failure ??= inputOutput('stdout', error);
      this.#onFailure(this.#failure);
    });
  }

  /** Whether the reader of the stream is slow: bytes wait for it. */
  get blocked(): boolean {
    return this.#drained !== undefined;
  }

  /** Calls `listener` when the stream fails. */
  onFailure(listener: (failure: Failure) => void): void {
    this.#onFailure = listener;
    if (this.#failure !== undefined) listener(this.#failure);
  }

  /**
   * Appends `bytes[0, end)`, which are copied.
   *
   * @returns A promise when the reader is slow: wait for it before more is appended.
   */
  append(bytes: Uint8Array, end: number = bytes.length): Promise<void> | undefined {
    if (end === 0 || this.#failure !== undefined) return this.#drained;
    const stream = this.#stream;
    if (!this.#isCorked) {
      this.#isCorked = true;
      stream.cork();
      setImmediate(() => {
        this.#isCorked = false;
        stream.uncork();
      });
    }
    if (!stream.write(Buffer.from(bytes.subarray(0, end)))) {
      this.#drained ??= drained(stream).then(() => {
        this.#drained = undefined;
      });
    }
    return this.#drained;
  }

  /** Resolves when everything is written. */
  async finish(): Promise<void> {
    await this.#drained;
    if (this.#failure !== undefined) return;
    await new Promise<void>((resolve) => this.#stream.write('', () => resolve()));
  }
}

/** Prints a text. @throws Failure, exit code 8, when the stream fails. */
export async function printText(stream: Writable, text: string): Promise<void> {
  const output = new OutputBuffer(stream);
  const failed = new Promise<never>((_, reject) => output.onFailure(reject));
  void output.append(Buffer.from(text));
  await Promise.race([output.finish(), failed]);
}
