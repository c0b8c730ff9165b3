import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { asError } from '@ws/node-io/internal';
import { dialError } from './dial-error.ts';

/**
 * Checks that a stream is open. On a stream that has ended, a request and node:tls would wait
 * forever for its events.
 *
 * @throws TransportError when it is not open.
 */
export function checkOpen(stream: Duplex): void {
  const over = stream.destroyed || stream.writableEnded || stream.readableEnded;
  // A stream with `autoDestroy: false` may have failed without being destroyed.
  if (!over && !stream.errored) return;
  throw dialError('the stream is not open', stream.errored ?? undefined);
}

/**
 * Guards a stream from its creation until a Conn owns it or until it closes: an 'error' event
 * without a listener would end the process. Each stage adds its own listeners; this class ensures
 * that there is always at least one.
 */
export class GuardedStream {
  readonly stream: Duplex;
  /** The first error seen. */
  error: Error | undefined;
  readonly #unguardWrites: () => void;

  constructor(stream: Duplex) {
    this.stream = stream;
    this.#unguardWrites = stream instanceof Socket ? () => {} : guardWrites(stream);
    stream.on('error', this.#onError);
    stream.once('close', this.release);
  }

  readonly #onError = (error: Error): void => {
    this.error ??= error;
  };

  /** Ends the guard. The new owner must listen for 'error'. */
  readonly release = (): void => {
    this.stream.off('error', this.#onError);
    this.stream.off('close', this.release);
    this.#unguardWrites();
  };

  /** Destroys the stream after the current call of Node has returned. */
  fail(error: Error): void {
    this.error ??= error;
    process.nextTick(() => this.stream.destroy(error));
  }

  /** Destroys the stream. Its late errors are still caught. */
  destroy(): void {
    this.stream.destroy();
  }
}

/**
 * Turns an error that `_write` or `_writev` of a foreign stream throws into the stream's error.
 * node:tls calls them from event handlers, where a throw ends the process.
 *
 * @returns A function that restores the stream's own methods.
 */
function guardWrites(stream: Duplex): () => void {
  const undo = (['_write', '_writev'] as const).map((name) => {
    const own = Object.getOwnPropertyDescriptor(stream, name);
    const write = stream[name] as ((...args: unknown[]) => void) | null | undefined;
    if (typeof write !== 'function') return () => {};
    const guarded = (...args: unknown[]): void => {
      try {
        write.apply(stream, args);
      } catch (error) {
        stream.destroy(asError(error, name));
      }
    };
    Object.defineProperty(stream, name, { value: guarded, configurable: true, writable: true });
    return () => {
      if (own === undefined) Reflect.deleteProperty(stream, name);
      else Object.defineProperty(stream, name, own);
    };
  });
  return () => {
    for (const each of undo) each();
  };
}
