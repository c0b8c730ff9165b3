import type { DataType, MessageReaderLike } from '@ws/conn';
import { decodeUtf8, type PageMessage } from './payload.ts';
import { attempt } from './promises.ts';
import { badType } from './validate.ts';

/**
 * A whole message, read as a stream: browsers deliver no part of one.
 *
 * @example
 * ```ts no-run
 * import { dial } from '@ws/browser';
 *
 * const conn = await dial('/file');
 * const reader = await conn.nextReader();
 * for await (const piece of reader) console.log(piece.length);
 * ```
 */
export class WholeMessageReader implements MessageReaderLike {
  readonly type: DataType;
  #rest: Uint8Array;

  /** @internal */
  constructor({ type, data }: PageMessage) {
    this.type = type;
    this.#rest = data;
  }

  read(into: Uint8Array): Promise<number> {
    return attempt(() => {
      if (!(into instanceof Uint8Array)) throw badType('read: expected a Uint8Array', into);
      if (into.length === 0) throw new RangeError('read: no room');
      const piece = this.#take(into.length);
      into.set(piece);
      return Promise.resolve(piece.length);
    });
  }

  readable(): ReadableStream<Uint8Array> {
    return new Blob([this.#take()]).stream();
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    const rest = this.#take();
    if (rest.length > 0) yield rest;
  }

  async bytes(): Promise<Uint8Array> {
    return this.#take();
  }

  async text(): Promise<string> {
    return decodeUtf8(this.#take());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  #take(most = Infinity): Uint8Array {
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(most);
    return piece;
  }
}
