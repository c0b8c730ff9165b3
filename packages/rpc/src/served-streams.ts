import type { ConnLike } from '@ws/conn';
import { internalsOf, kind } from '@ws/conn/internal';
import type { Carrier } from './carrier.ts';
import type { Request } from './request.ts';
import { ErrorCode, RpcError } from './rpc-error.ts';
import { after } from './schema.ts';
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
  readonly #onEnd: () => void;
  /**
   * The requests whose iterator has not ended, also cancelled ones. The stream is undefined until the
   * handler has returned its iterator.
   */
  readonly #streams = new Map<Request, ServedStream | undefined>();
  /** The connection that {@link #watch} observes. The end of its writes cancels its streams. */
  #watchedConn: ConnLike | undefined;

  /**
   * @param limit - The option `streams`.
   * @param onEnd - Called when a stream has ended.
   */
  constructor(carrier: Carrier, limit: number, onEnd: () => void) {
    this.carrier = carrier;
    this.#limit = limit;
    this.#onEnd = onEnd;
  }

  get #isFull(): boolean {
    return this.#streams.size >= this.#limit;
  }

  get isEmpty(): boolean {
    return this.#streams.size === 0;
  }

  /** The requests of the streams. */
  get requests(): Iterable<Request> {
    return this.#streams.keys();
  }

  /**
   * Calls a handler, and serves its result. At the limit, in a later turn: a caller may cancel a stream
   * and open another one at once. Within the turn, the cancelled generator can end and make room.
   *
   * @returns A promise if the handler was not called yet, or returns a promise of its result: resolves
   *   when the stream begins.
   * @throws (or rejects with) RpcError when too many streams are open; TypeError when the result is no
   *   AsyncIterable; the error of the handler.
   */
  start(request: Request, handle: () => unknown): undefined | Promise<undefined> {
    if (!this.#isFull) return this.#start(request, handle);
    const later = new Promise<void>((resolve) => this.carrier.platform.yield(resolve));
    return later.then(() => this.#start(request, handle));
  }

  #start(request: Request, handle: () => unknown): undefined | Promise<undefined> {
    const { connection } = request;
    // Once this end has closed the connection, no item can be sent.
    if (connection?.state !== 'open') return undefined;
    if (request.isCancelled) throw request.signal.reason;
    if (this.#isFull) throw new RpcError(ErrorCode.Busy, 'too many streams are open');
    this.#streams.set(request, undefined);
    this.#watch(connection);
    try {
      const begun = after(handle(), (result) => this.#begin(request, result));
      return begun?.catch((error: unknown) => {
        this.#ended(request);
        throw error;
      });
    } catch (error) {
      this.#ended(request);
      throw error;
    }
  }

  #begin(request: Request, result: unknown): undefined {
    const stream = new ServedStream(this, request, iteratorOf(request, result));
    this.#streams.set(request, stream);
    const ended = stream.run().then(() => this.#ended(request));
    this.carrier.session?.counts?.(ended);
    return undefined;
  }

  #ended(request: Request): void {
    this.#streams.delete(request);
    this.#onEnd();
  }

  #watch(connection: ConnLike): void {
    if (connection === this.#watchedConn) return;
    this.#watchedConn = connection;
    internalsOf(connection).observeWrites?.(() => {
      for (const request of this.#streams.keys()) {
        if (request.connection === connection) request.cancel(CLOSING);
      }
    });
  }

  /** The peer reports that it has taken `n` items of the stream `id`. Both values are unchecked. */
  taken(id: unknown, n: unknown, conn: ConnLike | undefined): void {
    for (const [request, stream] of this.#streams) {
      if (request.isOpen(id, conn)) return stream?.window.take(n);
    }
  }
}

function iteratorOf({ name }: Request, result: unknown): ItemSource {
  const { getReader, [Symbol.asyncIterator]: create } = Object(result) as Partial<HandlerResult>;
  if (typeof getReader === 'function') {
    // The platform's own iterator has a `return()` that waits for a pending `next()`.
    const reader = getReader.call(result);
    return { next: () => reader.read(), return: () => reader.cancel() };
  }
  if (typeof create === 'function') return create.call(result);
  throw new TypeError(`${name}: expected an AsyncIterable, got ${kind(result)}`);
}
