import type { ConnLike } from '@ws/conn';
import { internalsOf, kind, onRejection, RESOLVED } from '@ws/conn/internal';
import type { Carrier } from './carrier.ts';
import type { Request } from './request.ts';
import { ErrorCode, RpcError } from './rpc-error.ts';
import { CLOSING, type ItemSource, ServedStream } from './served-stream.ts';
import type { Windows } from './stream-window.ts';

/** The result of a handler. In some engines, a ReadableStream is not an AsyncIterable. */
type Source = AsyncIterable<unknown> & {
  getReader(): { read: ItemSource['next']; cancel(): Promise<unknown> };
};

/** The streams that this end of a link serves. */
export class ServedStreams {
  readonly carrier: Carrier;
  readonly windows: Windows = { count: 0, size: 0 };
  readonly #limit: number;
  /** Streams whose iterator has not ended, also cancelled ones. */
  readonly #streams: ServedStream[] = [];
  /** The connection that is observed: the end of its writes cancels its streams. */
  #watchedConn: ConnLike | undefined;

  /** @param limit - The option `streams`. */
  constructor(carrier: Carrier, limit: number) {
    this.carrier = carrier;
    this.#limit = limit;
  }

  /**
   * Resolves a turn later when the limit is reached, else returns undefined. A caller may cancel a
   * stream and then open another one at once. The cancelled generator may end in that turn.
   */
  untilRoom(): Promise<void> | undefined {
    return this.#isFull
      ? new Promise((resolve) => this.carrier.platform.yield(resolve))
      : undefined;
  }

  get #isFull(): boolean {
    return this.#streams.length >= this.#limit;
  }

  /**
   * Serves the result of a handler.
   *
   * @param answerTo - Returns the answer for an error. Reports an error that is not for the caller.
   * @returns Resolves when the stream has ended. Never rejects.
   * @throws RpcError when too many streams are open; TypeError when the result is no AsyncIterable.
   */
  start(
    request: Request,
    handle: () => unknown,
    answerTo: (error: unknown) => string,
  ): Promise<void> {
    const { connection } = request;
    // After a close of this end, no item can be sent.
    if (connection?.state !== 'open') return RESOLVED;
    if (request.isCancelled) throw request.signal.reason;
    if (this.#isFull) throw new RpcError(ErrorCode.Busy, 'too many streams are open');
    const stream = new ServedStream(this, request, this.#iteratorOf(request, handle()), answerTo);
    this.#streams.push(stream);
    this.#watch(connection);
    return stream.run().then(() => {
      this.#streams.splice(this.#streams.indexOf(stream), 1);
    });
  }

  #iteratorOf({ name }: Request, source: unknown): ItemSource {
    const { getReader, [Symbol.asyncIterator]: create } = Object(source) as Partial<Source>;
    if (typeof getReader === 'function') {
      // Not the iterator of the platform: its `return()` waits for a pending `next()`.
      const reader = getReader.call(source);
      return { next: () => reader.read(), return: () => reader.cancel() };
    }
    if (typeof create === 'function') return create.call(source);
    onRejection(source, (error) => this.carrier.report(error, name));
    throw new TypeError(`${name}: expected an AsyncIterable, got ${kind(source)}`);
  }

  #watch(connection: ConnLike): void {
    if (connection === this.#watchedConn) return;
    this.#watchedConn = connection;
    internalsOf(connection).observeWrites?.(() => {
      for (const { request } of this.#streams) {
        if (request.connection === connection) request.cancel(CLOSING);
      }
    });
  }

  /** Called when the reader of the stream `id` has taken `n` items. `id` and `n` are unchecked. */
  taken(id: unknown, n: unknown, source: ConnLike | undefined): void {
    const stream = this.#streams.find(
      // A peer may reuse the id of a cancelled request.
      ({ request }) => request.id === id && request.connection === source && !request.isCancelled,
    );
    stream?.window.take(n);
  }
}
