import type { DataType, MessageReaderLike, OwnedBytes } from '@ws/conn';
import { badType, kind } from '@ws/conn/internal';
import { decodeUtf8, type PageMessage } from './payload.ts';
import { attempt } from './promises.ts';

/**
 * A whole message, read as a stream: browsers do not deliver parts of a message.
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
  #rest: OwnedBytes;
  /** Whether `bytes`, `text` or `json` was called. */
  #hasRest = false;

  /** @internal */
  constructor({ type, data }: PageMessage) {
    this.type = type;
    this.#rest = data;
  }

  read(into: Uint8Array): Promise<number> {
    return attempt(() => {
      if (kind(into) !== 'Uint8Array') throw badType('read: expected a Uint8Array', into);
      if (into.length === 0) throw new RangeError('read: no room');
      const piece = this.#take(into.length);
      into.set(piece);
      return Promise.resolve(piece.length);
    });
  }

  readable(): ReadableStream<OwnedBytes> {
    return new Blob([this.#take()]).stream();
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<OwnedBytes> {
    const rest = this.#take();
    if (rest.length > 0) yield rest;
  }

  bytes(): Promise<OwnedBytes> {
    return attempt(() => {
      if (this.#hasRest) throw new TypeError('the message was read before; keep the first result');
      this.#hasRest = true;
      return Promise.resolve(this.#take());
    });
  }

  async text(): Promise<string> {
    return decodeUtf8(await this.bytes());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  #take(most = Infinity): OwnedBytes {
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(most);
    return piece;
  }
}
