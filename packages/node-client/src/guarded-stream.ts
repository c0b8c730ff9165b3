import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TransportError } from '@ws/conn';
import { asError } from './errors.ts';

/**
 * Checks that there is something to wait for: node:http and node:tls would wait for the events of a stream that has had
 * them all.
 *
 * @throws TransportError
 */
export function checkOpen(stream: Duplex): void {
  const over = stream.destroyed || stream.writableEnded || stream.readableEnded;
  // What does not destroy itself may have failed all the same.
  if (!over && !stream.errored) return;
  throw new TransportError('the stream is not open', { cause: stream.errored ?? undefined });
}

/**
 * A stream under watch, from its birth until a Conn has it or until it is closed: an 'error' that nobody listens for
 * would end the process. Each stage that waits on the stream has listeners of its own; this one sees to it that there
 * is never none.
 */
export class Guard {
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

  /** Somebody else listens now. */
  readonly release = (): void => {
    this.stream.off('error', this.#onError);
    this.stream.off('close', this.release);
    this.#unguardWrites();
  };

  /** Destroys the stream in the next turn, when Node is done with the call that this comes from. */
  fail(error: Error): void {
    this.error ??= error;
    process.nextTick(() => this.stream.destroy(error));
  }

  /** Destroys the stream and still hears what it has to say. */
  drop(): void {
    this.stream.destroy();
  }
}

/**
 * What the `_write` of somebody's stream throws becomes the stream's error: node:http and node:tls call it in turns of their
 * own, where a throw ends the process.
 *
 * @returns What undoes it.
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
