import { Duplex } from 'node:stream';
import { asError } from './errors.ts';
import { isThenable } from './promises.ts';

/** The part of a Transport of `@ws/conn` that a stream uses. */
interface ByteTransport {
  start(sink: {
    data(chunk: Uint8Array): void;
    drain(): void;
    end(): void;
    close(error?: Error): void;
  }): void;
  write(chunk: Uint8Array, release?: () => void): boolean;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(error?: Error): void;
}

/**
 * A Duplex over a Transport, because node:http and node:tls accept only streams. A chunk
 * counts as written when the transport releases it, so the stream has the transport's backpressure.
 */
export class TransportDuplex extends Duplex {
  readonly #transport: ByteTransport;

  constructor(transport: ByteTransport) {
    super();
    this.#transport = transport;
  }

  /**
   * Starts the transport.
   *
   * @throws The error of `transport.start`.
   */
  start(): void {
    const started: unknown = this.#transport.start({
      data: (chunk) => {
        if (!this.push(chunk)) this.#call('pause');
      },
      // `_write` waits for the release of each chunk, which is later than a drain.
      drain: () => {},
      end: () => void this.push(null),
      close: (error) => void this.destroy(error),
    });
    this.#destroyOnRejection('start', started);
  }

  /** Calls a function of the transport. Its error destroys the stream. */
  #call(name: 'pause' | 'resume' | 'end'): void {
    try {
      this.#destroyOnRejection(name, this.#transport[name]());
    } catch (error) {
      this.destroy(asError(error, `transport.${name}`));
    }
  }

  /** Destroys the stream if `result` is a promise that rejects: it would end the process. */
  #destroyOnRejection(name: string, result: unknown): void {
    if (!isThenable(result)) return;
    result.then(undefined, (error) => this.destroy(asError(error, `transport.${name}`)));
  }

  override _read(): void {
    this.#call('resume');
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    try {
      this.#destroyOnRejection('write', this.#transport.write(chunk, done));
    } catch (error) {
      // A stream expects the error as an argument.
      done(asError(error, 'transport.write'));
    }
  }

  override _final(done: () => void): void {
    this.#call('end');
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    try {
      this.#destroyOnRejection('destroy', this.#transport.destroy(error ?? undefined));
    } catch (thrown) {
      // The first error counts.
      error ??= asError(thrown, 'transport.destroy');
    }
    done(error);
  }
}
