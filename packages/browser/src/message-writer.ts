import type { MessageData, MessageWriterLike } from '@ws/conn';
import { RESOLVED, rejectedSoon, WriteClosedError } from '@ws/conn/parts';
import { bytesOf, payloadOf, utf8Length } from './payload.ts';
import { attempt, nothing } from './promises.ts';
import type { WriteSide } from './write-side.ts';

/**
 * Gathers a message and sends it when it is complete: browsers do not send parts of one.
 *
 * @example
 * ```ts no-run
 * import { dial, TextMessage } from '@ws/browser';
 *
 * const conn = await dial('/file');
 * const writer = await conn.nextWriter(TextMessage);
 * await writer.write('one message ');
 * await writer.write('of two writes');
 * await writer.close();
 * ```
 */
export class GatheringWriter implements MessageWriterLike {
  readonly #type: number;
  readonly #writes: WriteSide;
  /** The pieces before {@link #text}. */
  #pieces: Uint8Array[] = [];
  /** The text of the last writes, in one string: two of them may share a surrogate pair. */
  #text = '';
  /** The last unit of `#text`. To look it up there would copy the text. */
  #lastUnit = '';
  /** Bytes of the message. */
  #length = 0;
  #over = false;
  #finish = nothing;
  /** @internal Resolves when the writer was closed or aborted. */
  readonly ended: Promise<void> = new Promise((resolve) => {
    this.#finish = resolve;
  });

  /** @internal */
  constructor(type: number, writes: WriteSide) {
    this.#type = type;
    this.#writes = writes;
  }

  /** Adds a copy of `data`. Above `maxBufferedAmount` the message is dropped. */
  write(data: MessageData): Promise<void> {
    return attempt(() => {
      const piece = typeof data === 'string' ? data : bytesOf('write', data).slice();
      const closed = this.#closed();
      if (closed !== undefined) return closed;
      if (typeof piece === 'string') {
        this.#length += utf8Length(this.#lastUnit + piece) - utf8Length(this.#lastUnit);
        this.#text += piece;
        this.#lastUnit = piece.slice(-1) || this.#lastUnit;
      } else if (piece.length > 0) {
        this.#encodeText();
        this.#pieces.push(piece);
        this.#length += piece.length;
      }
      const full = this.#writes.overflow(0, this.#length);
      if (full === undefined) return RESOLVED;
      this.abort();
      return this.#writes.refuse(full);
    });
  }

  close(): Promise<void> {
    const closed = this.#closed();
    if (closed !== undefined) return closed;
    let message: string | Uint8Array = this.#text;
    if (this.#pieces.length > 0) {
      this.#encodeText();
      message = new Uint8Array(this.#length);
      let at = 0;
      for (const piece of this.#pieces) {
        message.set(piece, at);
        at += piece.length;
      }
    }
    this.abort();
    return this.#writes.send(payloadOf('', this.#type, message));
  }

  #encodeText(): void {
    this.#pieces.push(bytesOf('write', this.#text));
    this.#text = '';
    this.#lastUnit = '';
  }

  /** Drops the message: nothing of it was sent. */
  abort(): void {
    this.#over = true;
    this.#pieces = [];
    this.#text = '';
    this.#finish();
  }

  /** A chunk that fails aborts the message. */
  writable(): WritableStream<MessageData> {
    return new WritableStream<MessageData>({
      write: (chunk) =>
        this.write(chunk).catch((error: unknown) => {
          this.abort();
          throw error;
        }),
      close: () => this.close(),
      abort: () => this.abort(),
    });
  }

  /** Calls {@link close} if the writer is still open: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#over ? RESOLVED : this.close();
  }

  #closed(): Promise<never> | undefined {
    const { rejection } = this.#writes;
    if (rejection !== undefined || !this.#over) return rejection;
    return rejectedSoon(new WriteClosedError());
  }
}
