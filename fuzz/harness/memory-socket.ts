import { Duplex } from 'node:stream';

/** One end of a connection, the other end of which is a target: it feeds bytes, and looks at what was written. */
export class MemorySocket extends Duplex {
  readonly #written: Buffer[] = [];

  constructor() {
    super({ allowHalfOpen: true });
  }

  /** All that was written. */
  get written(): Buffer {
    return Buffer.concat(this.#written);
  }

  feed(bytes: Uint8Array): void {
    if (!this.destroyed && !this.readableEnded) this.push(bytes);
  }

  /** The peer's FIN. */
  feedEnd(): void {
    if (!this.destroyed && !this.readableEnded) this.push(null);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.#written.push(Buffer.from(chunk));
    done();
  }
}
