import type { Compressor } from '../deflate/compressor.ts';
import { copyOf } from '../memory/copy.ts';
import { Deferred, handled } from '../time/promises.ts';
import { owned, type RetainedBytes } from './copy-or-reference.ts';
import type { PreparedMessage } from './prepared-message.ts';

/** Sends a message. `variant` is absent when the message could not be compressed. */
export type SendDeflated = (variant: Uint8Array | undefined, plain: RetainedBytes) => Promise<void>;

/**
 * A large accepted message that another thread compresses. Later messages wait for this message.
 */
export class BackgroundDeflate {
  readonly size: number;
  /** Settles when the write settles. */
  readonly promise: Promise<void>;
  /** The promise that the caller has, if the message waited in the write queue first. */
  queuedPromise: Promise<unknown> | undefined;
  readonly #send: SendDeflated;
  readonly #compressor: Compressor;
  readonly #written = new Deferred<void>();
  #retained: RetainedBytes;
  #cancel: (() => void) | undefined;
  #over = false;

  /**
   * @param retained - The bytes of the message; they are released when they are copied or sent.
   * @param send - Called once with the compressed variant, unless the message is dropped.
   */
  constructor(retained: RetainedBytes, compressor: Compressor, send: SendDeflated) {
    this.#retained = retained;
    this.#compressor = compressor;
    this.#send = send;
    this.size = retained.end - retained.start;
    this.promise = handled(this.#written.promise);
  }

  /**
   * Starts the compression. A prepared message caches the result.
   *
   * @param next - Called when the message was sent or has failed.
   * @throws the platform's error when it cannot start. `next` is not called then.
   */
  begin(prepared: PreparedMessage | undefined, next: () => void): void {
    const done = (variant: Uint8Array | undefined): void => {
      if (this.#over) return;
      this.#finish(variant);
      next();
    };
    if (prepared !== undefined) {
      this.#cancel = prepared.variantLater(this.#compressor, done);
      return;
    }
    const { engines, level, windowBits, history } = this.#compressor;
    const job = { begin: () => this.#own(), level, windowBits, history };
    this.#cancel = engines.source.deflateLater(job, done);
  }

  /** Sends the message now, uncompressed. */
  sendPlain(): void {
    this.#cancel?.();
    this.#finish(undefined);
  }

  /** Cancels the message. */
  drop(reason: unknown): void {
    this.#over = true;
    this.#cancel?.();
    this.#retained.release();
    this.#written.reject(reason);
  }

  /**
   * Returns a copy of the bytes. Without a copy, the other thread would read freed memory if the
   * caller transferred the bytes meanwhile.
   */
  #own(): Uint8Array | undefined {
    const retained = this.#retained;
    if (this.#over) return undefined;
    if (retained.ours) return retained.bytes;
    if (retained.end > retained.bytes.byteLength) return undefined;
    const bytes = copyOf(retained.bytes, retained.start, retained.end);
    this.#retained = { ...owned(bytes), check: retained.check };
    retained.release();
    return bytes;
  }

  #finish(variant: Uint8Array | undefined): void {
    this.#over = true;
    const retained = this.#retained;
    try {
      this.#written.resolve(this.#send(variant, retained));
    } catch (error) {
      this.#written.reject(error);
    } finally {
      retained.release();
    }
  }
}
