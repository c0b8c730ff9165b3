import type { ConnLike } from '@ws/conn';
import { internalsOf, kind, onRejection, RESOLVED } from '@ws/conn/internal';
import type { Carrier } from './carrier.ts';
import type { Request } from './request.ts';
import { ErrorCode, RpcError } from './rpc-error.ts';
import { CLOSING, type ItemSource, ServedStream } from './served-stream.ts';
import type { WindowTotals } from './stream-window.ts';

/** The results that a handler of a stream may return. Not every ReadableStream is an AsyncIterable. */
type HandlerResult = AsyncIterable<unknown> & {
  getReader(): { read: ItemSource['next']; cancel(): Promise<unknown> };
};

/** The streams that this end of a link serves. */
export class ServedStreams {
  readonly carrier: Carrier;
  readonly windowTotals: WindowTotals = { count: 0, size: 0 };
  readonly #limit: number;
  /** The streams with an unended iterator. Some of them are cancelled. */
  readonly #streams: ServedStream[] = [];
  /** The connection that {@link #watch} observes. The end of its writes cancels its streams. */
  #watchedConn: ConnLike | undefined;

  /** @param limit - The option `streams`. */
  constructor(carrier: Carrier, limit: number) {
    this.carrier = carrier;
    this.#limit = limit;
  }

  /**
   * At the limit, returns a promise that resolves in a later turn. A caller may cancel a stream and
   * open another one at once. Within the turn, the cancelled generator can end and make room.
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
    // Once this end has closed the connection, no item can be sent.
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

  #iteratorOf({ name }: Request, result: unknown): ItemSource {
    const { getReader, [Symbol.asyncIterator]: create } = Object(result) as Partial<HandlerResult>;
    if (typeof getReader === 'function') {
      // The platform's own iterator has a `return()` that waits for a pending `next()`.
      const reader = getReader.call(result);
      return { next: () => reader.read(), return: () => reader.cancel() };
    }
    if (typeof create === 'function') return create.call(result);
    onRejection(result, (error) => this.carrier.report(error, name));
    throw new TypeError(`${name}: expected an AsyncIterable, got ${kind(result)}`);
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

  /** The peer reports that it has taken `n` items of the stream `id`. Both values are unchecked. */
  taken(id: unknown, n: unknown, conn: ConnLike | undefined): void {
    const stream = this.#streams.find(
      // A peer may reuse the id of a cancelled request.
      ({ request }) => request.id === id && request.connection === conn && !request.isCancelled,
    );
    stream?.window.take(n);
  }
}
