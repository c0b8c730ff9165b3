import { type MessageData, type MessageWriterLike, WriteClosedError } from '@ws/conn';
import { RESOLVED, rejected } from '@ws/conn/internal';
import { bytesOf, payloadOf } from './payload.ts';
import { attempt, nothing } from './promises.ts';
import { utf8Length } from './utf8-length.ts';
import type { WriteSide } from './write-side.ts';

/**
 * Gathers a message, and sends it when it is complete: browsers do not send parts of a message.
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
  /** Adjacent texts are joined to one piece, because a surrogate pair may be split between two. */
  #pieces: (string | Uint8Array)[] = [];
  /** Bytes of the message, with two more for each surrogate pair that is split between two texts. */
  #length = 0;
  #isClosed = false;
  #resolveEnded = nothing;
  /** @internal Resolves when the writer was closed or aborted. */
  readonly ended: Promise<void> = new Promise((resolve) => {
    this.#resolveEnded = resolve;
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
      const closed = this.#rejectionIfClosed();
      if (closed !== undefined) return closed;
      this.#add(piece);
      const full = this.#writes.overflow(0, this.#length);
      if (full === undefined) return RESOLVED;
      this.abort();
      return this.#writes.refuse(full);
    }, this.#writes.report);
  }

  close(): Promise<void> {
    return attempt(() => this.#rejectionIfClosed() ?? this.#send(), this.#writes.report);
  }

  #send(): Promise<void> {
    const pieces = this.#pieces;
    // First, because the socket may throw: the next writer waits for the end of this one.
    this.abort();
    const message = pieces.length > 1 ? joined(pieces, this.#length) : (pieces[0] ?? '');
    return this.#writes.send(payloadOf('', this.#type, message));
  }

  #add(piece: string | Uint8Array): void {
    if (piece.length === 0) return;
    const last = this.#pieces[this.#pieces.length - 1];
    if (typeof piece === 'string' && typeof last === 'string') {
      this.#pieces[this.#pieces.length - 1] = last + piece;
    } else this.#pieces.push(piece);
    this.#length += typeof piece === 'string' ? utf8Length(piece) : piece.length;
  }

  /** Drops the message: nothing of it was sent. */
  abort(): void {
    this.#isClosed = true;
    this.#pieces = [];
    this.#resolveEnded();
  }

  /** A web stream that writes the message. A chunk that fails aborts the message. */
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
    return this.#isClosed ? RESOLVED : this.close();
  }

  #rejectionIfClosed(): Promise<never> | undefined {
    const { rejection } = this.#writes;
    return rejection ?? (this.#isClosed ? rejected(new WriteClosedError(), this) : undefined);
  }
}

function joined(pieces: readonly (string | Uint8Array)[], most: number): Uint8Array {
  const message = new Uint8Array(most);
  let end = 0;
  for (const piece of pieces) {
    const bytes = bytesOf('write', piece);
    message.set(bytes, end);
    end += bytes.length;
  }
  return message.subarray(0, end);
}
