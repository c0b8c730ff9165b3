import type { Writable } from 'node:stream';
import { type Failure, inputOutput } from './failure.ts';
import { drained } from './io.ts';

const SIZE = 64 * 1024;

/**
 * Gathers what one turn of the event loop prints into few writes, and waits for a slow reader. A
 * million short messages are a few hundred writes.
 */
export class OutputBuffer {
  readonly #stream: Writable;
  #buffer = Buffer.allocUnsafeSlow(SIZE);
  #fill = 0;
  #scheduled = false;
  #drained: Promise<void> | undefined;
  #failure: Failure | undefined;
  #onFailure: (failure: Failure) => void = () => {};

  constructor(stream: Writable, name = 'stdout') {
    this.#stream = stream;
    stream.on('error', (error) => {
      this.#failure ??= inputOutput(name, error);
      this.#onFailure(this.#failure);
    });
  }

  /** Whether the reader of the stream is slow: bytes wait for it. */
  get blocked(): boolean {
    return this.#drained !== undefined;
  }

  /** The error of the stream. */
  get failure(): Failure | undefined {
    return this.#failure;
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
    if (end > SIZE - this.#fill) {
      this.#flush();
      if (end >= SIZE) {
        this.#write(Buffer.from(bytes.subarray(0, end)));
        return this.#drained;
      }
    }
    this.#buffer.set(end === bytes.length ? bytes : bytes.subarray(0, end), this.#fill);
    this.#fill += end;
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
    return this.#drained;
  }

  #flush(): void {
    if (this.#fill === 0) return;
    const bytes = this.#buffer.subarray(0, this.#fill);
    this.#fill = 0;
    // The stream may keep what it gets: a copy of a small part, the buffer itself of a large one.
    if (bytes.length < SIZE / 4) return this.#write(Buffer.from(bytes));
    this.#buffer = Buffer.allocUnsafeSlow(SIZE);
    this.#write(bytes);
  }

  #write(bytes: Uint8Array): void {
    if (this.#failure !== undefined || this.#stream.write(bytes)) return;
    this.#drained ??= drained(this.#stream).then(() => {
      this.#drained = undefined;
    });
  }

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
  void output.append(Buffer.from(text));
  await output.finish();
  if (output.failure !== undefined) throw output.failure;
}
