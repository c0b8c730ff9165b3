import { Duplex } from 'node:stream';

/** One end of a stream in memory: a test pushes what arrives, and reads what was written. */
export class Wire extends Duplex {
  readonly #written: Buffer[] = [];
  #wake: () => void = () => {};

  /** Resolves when the stream is closed. */
  readonly gone: Promise<void> = new Promise((resolve) => this.on('close', () => resolve()));

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#written.push(chunk);
    done();
    this.#wake();
  }

  override _final(done: () => void): void {
    done();
    this.#wake();
  }

  /** All bytes that were written. */
  get output(): Buffer {
    return Buffer.concat(this.#written);
  }

  /** Resolves when the head of an answer was written. Returns all bytes as Latin-1. */
  async answered(): Promise<string> {
    while (!this.output.includes('\r\n\r\n')) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.output.toString('latin1');
  }
}
