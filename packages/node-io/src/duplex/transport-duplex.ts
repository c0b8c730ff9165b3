import { Duplex } from 'node:stream';
import type { Transport } from '@ws/conn';
import { isThenable } from '@ws/conn/internal';
import { asError } from '../http/app-values.ts';

/**
 * A Duplex over a Transport, because node:http and node:tls accept only streams. A chunk counts as
 * written when the transport has released it and is not above its high-water mark, so the stream has
 * the transport's backpressure.
 */
export class TransportDuplex extends Duplex {
  readonly #transport: Transport;
  /** Ends the wait of the last write for a drain. */
  #onDrain: (() => void) | undefined;
  /** Size of the chunk that is being written. */
  #writing = 0;

  constructor(transport: Transport) {
    // The transport closes after both ends. A destroy before that would drop what it still sends.
    super({ autoDestroy: false });
    this.#transport = transport;
  }

  /** Bytes that the transport has released and not sent yet. `writableLength` does not count them. */
  get bufferedAmount(): number {
    return Math.max(0, (this.#transport.bufferedAmount ?? 0) - this.#writing);
  }

  /** As in the transport. */
  get endTimeout(): number | undefined {
    return this.#transport.endTimeout;
  }

  /** The address of this end, as the transport names it. */
  get localAddr(): string | undefined {
    return this.#transport.localAddr;
  }

  /** The address of the peer, as the transport names it. */
  get remoteAddr(): string | undefined {
    return this.#transport.remoteAddr;
  }

  /**
   * Starts the transport.
   *
   * @throws The error of `transport.start`.
   */
  start(): void {
    let hasEnded = false;
    const started: unknown = this.#transport.start({
      data: (chunk, end) => {
        // The stream keeps the bytes, and the transport lends them for the call. Not the method of a
        // Buffer, which copies nothing.
        if (!this.push(Uint8Array.prototype.slice.call(chunk, 0, end))) this.#call('pause');
      },
      drain: () => this.#onDrain?.(),
      end: () => {
        hasEnded = true;
        this.push(null);
      },
      close: (error) => {
        // The bytes before a clean end may still be read, as on a socket.
        const isUnread = hasEnded && this.readableLength > 0;
        if (error === undefined && isUnread) this.once('end', () => this.destroy());
        else this.destroy(error);
        this.#onDrain?.();
      },
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

  /** Destroys the stream if `result` is a promise that rejects. The rejection would end the process. */
  #destroyOnRejection(name: string, result: unknown): void {
    if (!isThenable(result)) return;
    result.then(undefined, (error) => this.destroy(asError(error, `transport.${name}`)));
  }

  override _read(): void {
    this.#call('resume');
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    let released = false;
    let drained = false;
    this.#writing = chunk.length;
    const settle = (): void => {
      if (!released || !drained) return;
      // A second release has no effect.
      drained = false;
      this.#writing = 0;
      done();
    };
    this.#onDrain = () => {
      this.#onDrain = undefined;
      drained = true;
      settle();
    };
    const release = (): void => {
      released = true;
      settle();
    };
    try {
      const takesMore: unknown = this.#transport.write(chunk, release);
      this.#destroyOnRejection('write', takesMore);
      if (takesMore !== false) this.#onDrain?.();
    } catch (error) {
      // A stream expects the error as an argument.
      const failure = asError(error, 'transport.write');
      this.destroy(failure);
      done(failure);
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
