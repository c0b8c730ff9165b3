import type { MessageData, MessageWriterLike } from '@ws/conn';
import { RESOLVED, rejectedSoon, SurrogatePairs, WriteClosedError } from '@ws/conn/parts';
import { bytesOf, payloadOf } from './payload.ts';
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
  #pieces: Uint8Array[] = [];
  #length = 0;
  readonly #pairs = new SurrogatePairs();
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
      const isText = typeof data === 'string';
      const piece = bytesOf('write', isText ? this.#pairs.join(data) : data).slice();
      const closed = this.#closed();
      if (closed !== undefined) return closed;
      if (!isText && piece.length > 0) this.#addRest();
      this.#add(piece);
      const full = this.#writes.overflow(0, this.#length);
      if (full === undefined) return RESOLVED;
      this.abort();
      return this.#writes.refuse(full);
    });
  }

  close(): Promise<void> {
    const closed = this.#closed();
    if (closed !== undefined) return closed;
    this.#addRest();
    const message = new Uint8Array(this.#length);
    let at = 0;
    for (const piece of this.#pieces) {
      message.set(piece, at);
      at += piece.length;
    }
    this.abort();
    return this.#writes.send(payloadOf('', this.#type, message));
  }

  #add(piece: Uint8Array): void {
    this.#length += piece.length;
    this.#pieces.push(piece);
  }

  /** Adds the half of a surrogate pair that no text follows. */
  #addRest(): void {
    this.#add(bytesOf('write', this.#pairs.takeRest()));
  }

  /** Drops the message: nothing of it was sent. */
  abort(): void {
    this.#over = true;
    this.#pieces = [];
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
