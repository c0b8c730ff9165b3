import type { ConnLike } from '@ws/conn';
import { kind, onRejection } from '@ws/conn/internal';
import type { Carrier } from './carrier.ts';
import type { StreamDefinition } from './definitions.ts';
import type { Request } from './request.ts';
import { ErrorCode, RpcError } from './rpc-error.ts';
import { ServedStream } from './served-stream.ts';
import { StreamWindow, type Windows } from './stream-window.ts';

/** The streams that this end of a link serves. */
export class ServedStreams {
  readonly #carrier: Carrier;
  readonly #limit: number;
  readonly #windows: Windows = { count: 0, size: 0 };
  /** Also cancelled ones whose iterator has not ended. */
  readonly #streams: ServedStream[] = [];

  /** @param limit - The option `streams`. */
  constructor(carrier: Carrier, limit: number) {
    this.#carrier = carrier;
    this.#limit = limit;
  }

  /** @throws RpcError when no stream may begin, or none with this id. */
  checkRoom({ id, connection }: Request): void {
    if (this.#streams.length >= this.#limit) {
      throw new RpcError(ErrorCode.Busy, 'too many streams are open');
    }
    if (this.#find(id, connection) !== undefined) {
      throw new RpcError(ErrorCode.InvalidRequest, 'an open stream has this id');
    }
  }

  /**
   * Serves the result of a handler.
   *
   * @param answerTo - Returns the answer to an error, and reports it unless it is for the caller.
   * @returns Resolves when the stream is over. Never rejects.
   * @throws TypeError when `source` is no AsyncIterable.
   */
  serve(
    request: Request,
    definition: StreamDefinition,
    source: unknown,
    answerTo: (error: unknown) => string,
  ): Promise<void> {
    const iterator = iteratorOf(definition.name, source);
    const window = new StreamWindow(this.#windows);
    const stream = new ServedStream(this.#carrier, request, definition, iterator, window, answerTo);
    this.#streams.push(stream);
    request.onCancel = () => stream.cancelled();
    void stream.run();
    return stream.done.then(() => {
      this.#streams.splice(this.#streams.indexOf(stream), 1);
    });
  }

  /** The reader of the stream `id` has taken `n` items. */
  taken(
    { id, n }: { readonly id?: unknown; readonly n?: unknown },
    source: ConnLike | undefined,
  ): void {
    this.#find(id, source)?.window.take(n);
  }

  #find(id: unknown, connection: ConnLike | undefined): ServedStream | undefined {
    return this.#streams.find((stream) => stream.is(id, connection));
  }
}

function iteratorOf(name: string, source: unknown): AsyncIterator<unknown> {
  const { [Symbol.asyncIterator]: create } = Object(source) as Partial<AsyncIterable<unknown>>;
  if (typeof create === 'function') return create.call(source);
  // A rejection has no other reader.
  onRejection(source, () => {});
  throw new TypeError(`${name}: expected an AsyncIterable, got ${kind(source)}`);
}
