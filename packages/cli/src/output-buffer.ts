import type { Writable } from 'node:stream';
import { type Failure, inputOutput } from './failure.ts';
import { drained } from './io.ts';

/** Bytes that are gathered at most. */
const SIZE = 64 * 1024;

/**
 * Prints what comes in one turn of the event loop in few writes, and waits for a slow reader. A corked
 * stream would not do: Node writes its chunks to a file one by one.
 */
export class OutputBuffer {
  readonly #stream: Writable;
  #chunks: Uint8Array[] = [];
  #size = 0;
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
    if (this.#size === 0) setImmediate(this.#flush);
    this.#chunks.push(Buffer.from(bytes.subarray(0, end)));
    this.#size += end;
    if (this.#size >= SIZE) this.#flush();
    return this.#drained;
  }

  readonly #flush = (): void => {
    if (this.#size === 0) return;
    const bytes = Buffer.concat(this.#chunks, this.#size);
    this.#chunks = [];
    this.#size = 0;
    if (this.#failure !== undefined || this.#stream.write(bytes)) return;
    this.#drained ??= drained(this.#stream).then(() => {
      this.#drained = undefined;
    });
  };

  /** Resolves when everything is written. */
  async finish(): Promise<void> {
    this.#flush();
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
