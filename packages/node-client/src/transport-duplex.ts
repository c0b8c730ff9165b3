import { Duplex } from 'node:stream';
import type { Transport } from '@ws/conn';

/**
 * A Duplex over a {@link Transport}, because node:http and node:tls accept only streams. A chunk
 * counts as written when the transport releases it, so the stream has the transport's backpressure.
 */
export class TransportDuplex extends Duplex {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    super();
    this.#transport = transport;
    transport.start({
      data: (chunk) => {
        if (!this.push(chunk)) transport.pause();
      },
      // `_write` waits for the release of each chunk, which is later than a drain.
      drain: () => {},
      end: () => void this.push(null),
      close: (error) => void this.destroy(error),
    });
  }

  override _read(): void {
    this.#transport.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    try {
      this.#transport.write(chunk, done);
    } catch (error) {
      // A stream expects the error as an argument.
      done(error as Error);
    }
  }

  override _final(done: () => void): void {
    this.#transport.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#transport.destroy(error ?? undefined);
    done(error);
  }
}
