import type { Duplex } from 'node:stream';
import { TransportError } from '@ws/conn';

/**
 * Checks that there is something to wait for: node:http and node:tls would wait for the events of a stream that has had
 * them all.
 *
 * @throws TransportError
 */
export function checkOpen(stream: Duplex): void {
  if (!stream.destroyed && !stream.writableEnded && !stream.readableEnded) return;
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

  constructor(stream: Duplex) {
    this.stream = stream;
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
  };

  /** Destroys the stream and still hears what it has to say. */
  drop(): void {
    this.stream.destroy();
  }
}
