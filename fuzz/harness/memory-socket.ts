import { Duplex } from 'node:stream';

/** A socket in memory. The target plays the peer: it feeds bytes and reads what was written. */
export class MemorySocket extends Duplex {
  readonly #written: Buffer[] = [];

  constructor() {
    super({ allowHalfOpen: true });
  }

  /** All bytes written so far. */
  get written(): Buffer {
    return Buffer.concat(this.#written);
  }

  feed(bytes: Uint8Array): void {
    if (!this.destroyed && !this.readableEnded) this.push(bytes);
  }

  /** Ends the peer's half, as a FIN does. */
  feedEnd(): void {
    if (!this.destroyed && !this.readableEnded) this.push(null);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.#written.push(Buffer.from(chunk));
    done();
  }
}
