import { NO_BYTES } from '@ws/codec/internal';
import { ReadPendingError } from '../errors.ts';
import { copyInto, copyOf } from '../memory/copy.ts';
import { Deferred } from '../time/promises.ts';

/** Charged for each piece on top of its bytes. */
const PIECE_COST = 128;
/** Smaller pieces are merged into pieces of at most this size, in bytes, while they are unread. */
const MERGED = 4096;
/** Smallest buffer for merged pieces, in bytes. */
const SMALLEST_TAIL = 64;

/** The pieces of a message that is read as a stream, between the connection and its reader. */
export class PieceQueue {
  /**
   * Bytes of the unread pieces, plus a fixed cost for each piece. They count against the
   * read-ahead.
   */
  cost = 0;
  /** Whether the reader waits for bytes, and the queue has less than a merged piece for it. */
  demanding = false;
  /**
   * Whether the last piece was added: the message is complete, or `failure` has the reason why it
   * is not.
   */
  over = false;
  failure: { readonly reason: unknown } | undefined;
  /** Whether the reader gets nothing for now: the peer has exceeded its rate. */
  held = false;
  /** Whether a call of the reader waits, or reads to the end of the message. */
  reading = false;
  /** The loop or web stream that reads to the end of the message. `''` when there is none. */
  holder = '';
  /** Whether unread bytes were dropped: the queue then ends with a failure only. */
  #dropped = false;
  readonly #pieces: Uint8Array[] = [];
  /** Bytes of the first piece that are already read. */
  #read = 0;
  /** The piece after {@link #pieces}, to which small pieces are appended: its first bytes. */
  #tail: Uint8Array = NO_BYTES;
  #tailLength = 0;
  #news: Deferred<void> | undefined;
  /** Memory of the read that waits. The next bytes go there: its first {@link #filled} ones have. */
  #into: Uint8Array | undefined;
  #filled = 0;

  get empty(): boolean {
    return this.#pieces.length === 0 && this.#tailLength === 0 && this.#filled === 0;
  }

  /** Whether the reader can continue: it gets bytes, or the end. */
  get ready(): boolean {
    return !this.held && (this.over || !this.empty);
  }

  /** Whether its reader has got all, or gets no more by a call that is under way. */
  get isRead(): boolean {
    return this.over && this.empty && !this.held && this.pending === '';
  }

  /** Whether bytes went to the array of {@link fillNext}. */
  get fills(): boolean {
    return this.#filled > 0;
  }

  /** The next bytes go to `into`, as many as fit, until {@link take} takes them. */
  fillNext(into: Uint8Array | undefined): void {
    this.#into = into;
  }

  /** Name of the read of this message that is pending. `''` when there is none. */
  get pending(): string {
    if (this.failure !== undefined) return '';
    return this.holder === '' && this.reading ? 'a read of a message' : this.holder;
  }

  /** Adds a piece; its bytes belong to the queue. */
  push(piece: Uint8Array): void {
    if (this.over || this.#dropped || piece.length === 0) return;
    this.#endTail();
    this.#pieces.push(piece);
    this.#added(piece.length + PIECE_COST);
  }

  /**
   * Adds a copy of `bytes[start, end)`. Small pieces that are unread are merged, so that fragments
   * of one byte cost a few buffers.
   */
  pushCopy(bytes: Uint8Array, from: number, end: number): void {
    if (this.over || this.#dropped) return;
    const start = this.#into === undefined ? from : this.#fillWith(this.#into, bytes, from, end);
    const size = end - start;
    if (size >= MERGED) return this.push(copyOf(bytes, start, end));
    if (size === 0) return;
    if (this.#tailLength + size > MERGED) this.#endTail();
    const length = this.#tailLength + size;
    if (length > this.#tail.length) this.#growTail(length);
    copyInto(this.#tail, this.#tailLength, bytes, start, end);
    this.#added(this.#tailLength === 0 ? size + PIECE_COST : size);
    this.#tailLength = length;
  }

  /** Returns the index of the first byte that does not fit. */
  #fillWith(into: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
    // Pieces that are held come first.
    if (this.held || this.#pieces.length > 0 || this.#tailLength > 0) return start;
    const n = Math.min(end - start, into.length - this.#filled);
    if (n <= 0) return start;
    copyInto(into, this.#filled, bytes, start, start + n);
    this.#filled += n;
    if (this.#filled === into.length) this.demanding = false;
    this.#notify();
    return start + n;
  }

  #added(cost: number): void {
    this.cost += cost;
    if (this.cost >= MERGED) this.demanding = false;
    this.#notify();
  }

  /** A single piece gets a buffer of its size. The buffer doubles when more pieces follow. */
  #growTail(length: number): void {
    const size = this.#tailLength === 0 ? length : Math.max(SMALLEST_TAIL, length * 2);
    const grown = new Uint8Array(Math.min(size, MERGED));
    grown.set(this.#tail.subarray(0, this.#tailLength));
    this.#tail = grown;
  }

  /** Later bytes are another piece. */
  #endTail(): void {
    if (this.#tailLength === 0) return;
    this.#pieces.push(this.#tail.subarray(0, this.#tailLength));
    this.#tail = NO_BYTES;
    this.#tailLength = 0;
  }

  /** Ends the queue: the message is complete. With `failure` the connection ended before that. */
  finish(failure?: { readonly reason: unknown }): void {
    if (this.over || (this.#dropped && failure === undefined)) return;
    this.over = true;
    this.failure = failure;
    this.demanding = false;
    if (failure !== undefined) this.held = false;
    this.#notify();
  }

  /** The reader gets what has come. */
  unhold(): void {
    if (!this.held) return;
    this.held = false;
    this.#notify();
  }

  /**
   * Drops the unread rest of the message, also pieces that follow. A reader that has not read all
   * of the message waits for the failure that {@link finish} reports. It never sees a complete
   * message.
   */
  drop(): void {
    if (this.over && this.empty) return;
    this.#dropped = true;
    this.over = this.failure !== undefined;
    this.#pieces.length = 0;
    this.#tail = NO_BYTES;
    this.#tailLength = 0;
    this.#read = 0;
    this.#into = undefined;
    this.#filled = 0;
    this.cost = 0;
  }

  /** Copies unread bytes to `into`, as many as fit. Returns their number. */
  take(into: Uint8Array): number {
    let at = this.#filled;
    this.#into = undefined;
    this.#filled = 0;
    while (at < into.length) {
      const piece = this.#first();
      if (piece === undefined) break;
      const n = Math.min(piece.length - this.#read, into.length - at);
      into.set(piece.subarray(this.#read, this.#read + n), at);
      at += n;
      this.#read += n;
      this.cost -= n;
      if (this.#read === piece.length) this.#removeFirst(piece);
    }
    return at;
  }

  /** Removes and returns the rest of the first piece. */
  shift(): Uint8Array | undefined {
    const piece = this.#first();
    if (piece === undefined) return undefined;
    const rest = piece.subarray(this.#read);
    this.#removeFirst(piece);
    return rest;
  }

  /** Resolves when a piece was added or the queue was ended. */
  news(): Promise<void> {
    this.#news ??= new Deferred<void>();
    return this.#news.promise;
  }

  /** The first piece, to be read. */
  #first(): Uint8Array | undefined {
    if (this.#pieces.length === 0) this.#endTail();
    this.demanding = false;
    return this.#pieces[0];
  }

  #removeFirst(piece: Uint8Array): void {
    this.#pieces.shift();
    this.cost -= piece.length - this.#read + PIECE_COST;
    this.#read = 0;
  }

  #notify(): void {
    const news = this.#news;
    this.#news = undefined;
    news?.resolve();
  }
}

/** The reason why a reader cannot continue before the end of its message. */
export function restDropped(cause: string): { readonly reason: ReadPendingError } {
  const message = `the rest of this message was dropped, because ${cause}; read it to its end first`;
  return { reason: new ReadPendingError('a read of a message', cause, message) };
}
