import { copyOf } from './copy.ts';
import { ReadPendingError } from './errors.ts';
import type { Host } from './host.ts';
import type { Inflow } from './inflow.ts';
import type { DataType } from './message.ts';
import { kind } from './options.ts';
import { handled, rejected } from './promises.ts';

/** What a reader asks of its connection. */
export interface InflowSource {
  /** The reader has nothing: parse on. */
  more(inflow: Inflow): void;
  /** The reader has taken something. */
  taken(inflow: Inflow): void;
  /** The rest of the message is not wanted. */
  leave(inflow: Inflow): void;
}

/**
 * A message as a stream: its first bytes can be read before its last have arrived. Memory is bounded by the read-ahead:
 * while you do not read, the peer waits.
 *
 * A reader is good until the next way of reading begins, which drops what was not read of it; it then reads as ended,
 * as in gorilla/websocket. When the connection ends before the message is complete, reading rejects with the
 * connection's error.
 */
export class MessageReader implements AsyncIterable<Uint8Array> {
  /** `TextMessage` or `BinaryMessage`. */
  readonly type: DataType;
  readonly #inflow: Inflow;
  readonly #source: InflowSource;
  readonly #host: Host;
  #pending = false;

  /** @internal */
  constructor(type: DataType, inflow: Inflow, source: InflowSource, host: Host) {
    this.type = type;
    this.#inflow = inflow;
    this.#source = source;
    this.#host = host;
  }

  /**
   * Reads the next bytes of the message into `into`: as many as are there, at least one.
   *
   * @param into - Yours; written to until the promise settles.
   * @returns How many bytes were read, 0 at the end of the message.
   * @throws (rejects) RangeError when `into` is empty, TypeError when it is no Uint8Array, {@link ReadPendingError} while
   *   another read of this message is pending, and what ended the connection.
   */
  read(into: Uint8Array): Promise<number> {
    if (!(into instanceof Uint8Array)) {
      return rejected(new TypeError(`read: expected a Uint8Array, got ${kind(into)}`));
    }
    if (into.length === 0) return rejected(new RangeError('read: no room in an empty array'));
    return this.#once((inflow) => {
      // Given to another thread meanwhile: an answer of 0 would be the end of the message.
      if (into.length === 0) throw new RangeError('read: the array was detached while it waited');
      return inflow.take(into);
    }, 0);
  }

  /** The message's bytes as they come, in pieces of your own. Leaving the loop early drops the rest. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    const next = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
      const piece = await this.#piece();
      return piece === undefined ? { done: true, value: undefined } : { done: false, value: piece };
    };
    return {
      next: () => handled(next()),
      return: () => {
        this.#source.leave(this.#inflow);
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** The message's bytes as a web stream. Cancelling it drops the rest. */
  readable(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const piece = await this.#piece();
          if (piece === undefined) controller.close();
          else controller.enqueue(piece);
        },
        cancel: () => this.#source.leave(this.#inflow),
      },
      { highWaterMark: 0 },
    );
  }

  /** All bytes from here to the end of the message, in memory of your own. */
  bytes(): Promise<Uint8Array> {
    if (this.#pending) return this.#clash();
    this.#pending = true;
    return handled(
      this.#bytes().finally(() => {
        this.#pending = false;
      }),
    );
  }

  /** All from here to the end of the message as a string. */
  text(): Promise<string> {
    return handled(this.bytes().then((bytes) => this.#host.decodeUtf8(bytes, 0, bytes.length)));
  }

  /**
   * All from here to the end of the message parsed as JSON.
   *
   * @throws (rejects) SyntaxError when it is none.
   */
  json(): Promise<unknown> {
    return handled(this.text().then((text) => JSON.parse(text) as unknown));
  }

  async #bytes(): Promise<Uint8Array> {
    let all = new Uint8Array(0);
    let length = 0;
    for (;;) {
      const piece = await this.#next((inflow) => inflow.shift(), undefined);
      if (piece === undefined) return length === all.length ? all : copyOf(all, 0, length);
      if (length + piece.length > all.length) {
        // Doubling: what has arrived is never copied more than twice on the whole.
        const grown = new Uint8Array(
          Math.max(length + piece.length, length === 0 ? 0 : all.length * 2),
        );
        grown.set(all.subarray(0, length));
        all = grown;
      }
      all.set(piece, length);
      length += piece.length;
    }
  }

  /** The next piece in memory of its own. */
  async #piece(): Promise<Uint8Array | undefined> {
    const piece = await this.#shift();
    return piece === undefined ? undefined : copyOf(piece);
  }

  #shift(): Promise<Uint8Array | undefined> {
    return this.#once((inflow) => inflow.shift(), undefined);
  }

  /** One read at a time: {@link #next}, and nothing else until it is there. */
  #once<T>(take: (inflow: Inflow) => T, end: T): Promise<T> {
    if (this.#pending) return this.#clash();
    if (this.#inflow.empty && !this.#inflow.over) this.#source.more(this.#inflow);
    if (!this.#inflow.empty || this.#inflow.over) return this.#next(take, end);
    this.#pending = true;
    return handled(
      this.#next(take, end).finally(() => {
        this.#pending = false;
      }),
    );
  }

  /** Waits until `take` gives something; `end` stands for the end of the message. */
  #next<T>(take: (inflow: Inflow) => T, end: T): Promise<T> {
    const inflow = this.#inflow;
    if (inflow.empty && !inflow.over) this.#source.more(inflow);
    if (!inflow.empty) return this.#take(take);
    if (inflow.over) return this.#end(end);
    // What came may be dropped again before this runs, by a close for example: then it waits on.
    return inflow.news().then(() => this.#next(take, end));
  }

  #take<T>(take: (inflow: Inflow) => T): Promise<T> {
    try {
      const taken = take(this.#inflow);
      this.#source.taken(this.#inflow);
      return Promise.resolve(taken);
    } catch (error) {
      return rejected(error);
    }
  }

  #end<T>(end: T): Promise<T> {
    const { failure } = this.#inflow;
    return failure === undefined ? Promise.resolve(end) : rejected<T>(failure.reason);
  }

  #clash<T>(): Promise<T> {
    return rejected<T>(new ReadPendingError('a read of the message', 'another'));
  }
}
