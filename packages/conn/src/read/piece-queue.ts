import { lengthOf, NO_BYTES } from '@ws/codec/internal';
import { ReadPendingError } from '../errors.ts';
import { copyInto, copyOf } from '../memory/copy.ts';
import { Fifo } from '../memory/fifo.ts';
import { Deferred } from '../time/promises.ts';

/** Bytes charged for each piece in addition to its data. */
const PIECE_COST = 128;
/** Unread pieces of fewer bytes are merged, into pieces of at most this size. */
const MERGE_BELOW = 4096;
/** Smallest buffer for merged pieces, in bytes. */
const SMALLEST_TAIL = 64;

/** The pieces of a message that is read as a stream, between the connection and its reader. */
export class PieceQueue {
  /** Bytes of the unread pieces, plus a fixed cost for each piece. `readAhead` bounds this sum. */
  cost = 0;
  /** Whether no more pieces follow: the message is complete, or `failure` is set. */
  over = false;
  /** Why the rest of the message cannot be read. */
  failure: { readonly reason: unknown } | undefined;
  /** Whether the reader gets nothing for now: the peer has exceeded its rate. */
  held = false;
  /** Whether a call of the reader is pending, such as `read` or `bytes`. */
  reading = false;
  /** Name of the loop or web stream that reads the message to its end, for errors; `''` for none. */
  holder = '';
  /** Whether unread bytes were dropped, so that the queue can end only with a failure. */
  #dropped = false;
  #pieces = new Fifo<Uint8Array>();
  /** Number of bytes of the first piece that are already read. */
  #read = 0;
  /** The merged small pieces after {@link #pieces}: the first {@link #tailLength} bytes. */
  #tail: Uint8Array = NO_BYTES;
  #tailLength = 0;
  /** The promise of {@link news}. */
  #news: Deferred<void> | undefined;
  /** The array of the waiting read. Its first {@link #filled} bytes have arrived. */
  #into: Uint8Array | undefined;
  #filled = 0;

  get empty(): boolean {
    return this.#pieces.length === 0 && this.#tailLength === 0 && this.#filled === 0;
  }

  /** Whether the reader can continue: it gets bytes, or the end. */
  get ready(): boolean {
    return !this.held && (this.over || !this.empty);
  }

  /** Whether a reader that waits for bytes needs no more of them: a full array, 4 KiB, or the end. */
  get hasEnough(): boolean {
    if (this.over || this.cost >= MERGE_BELOW) return true;
    return this.#into !== undefined && this.#filled === lengthOf(this.#into);
  }

  /** Whether the reader has got all bytes, and no call is pending. */
  get isReadToEnd(): boolean {
    return this.over && this.empty && !this.held && this.pending === '';
  }

  /** Whether bytes were written to the array of {@link fillNext}. */
  get hasFilled(): boolean {
    return this.#filled > 0;
  }

  /** Writes arriving bytes to `into`, as many as fit, until {@link take} is called. */
  fillNext(into: Uint8Array | undefined): void {
    this.#into = into;
  }

  /** Name of the pending read of this message, for errors; `''` for none. */
  get pending(): string {
    if (this.failure !== undefined) return '';
    return this.holder === '' && this.reading ? 'a read of a message' : this.holder;
  }

  /** Adds a piece. The queue owns its bytes. */
  push(piece: Uint8Array): void {
    if (this.over || this.#dropped || piece.length === 0) return;
    this.#endTail();
    this.#pieces.add(piece);
    this.#added(piece.length + PIECE_COST);
  }

  /**
   * Adds a copy of `bytes[from, end)`, first to the array of the waiting read. Small unread pieces are
   * merged, so that fragments of one byte need few buffers.
   */
  pushCopy(bytes: Uint8Array, from: number, end: number): void {
    if (this.over || this.#dropped) return;
    const start = this.#into === undefined ? from : this.#fillWith(this.#into, bytes, from, end);
    const size = end - start;
    if (size >= MERGE_BELOW) return this.push(copyOf(bytes, start, end));
    if (size === 0) return;
    if (this.#tailLength + size > MERGE_BELOW) this.#endTail();
    const length = this.#tailLength + size;
    if (length > this.#tail.length) this.#growTail(length);
    copyInto(this.#tail, this.#tailLength, bytes, start, end);
    this.#added(this.#tailLength === 0 ? size + PIECE_COST : size);
    this.#tailLength = length;
  }

  /** Copies bytes to the array of the waiting read. Returns the index of the first byte that does not fit. */
  #fillWith(into: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
    // Pieces of the queue come before these bytes.
    if (this.held || this.#pieces.length > 0 || this.#tailLength > 0) return start;
    const n = Math.min(end - start, lengthOf(into) - this.#filled);
    if (n <= 0) return start;
    copyInto(into, this.#filled, bytes, start, start + n);
    this.#filled += n;
    this.#notify();
    return start + n;
  }

  #added(cost: number): void {
    this.cost += cost;
    this.#notify();
  }

  /** The first small piece gets a buffer of its size. The buffer doubles when more follow. */
  #growTail(length: number): void {
    const size = this.#tailLength === 0 ? length : Math.max(SMALLEST_TAIL, length * 2);
    const grown = new Uint8Array(Math.min(size, MERGE_BELOW));
    grown.set(this.#tail.subarray(0, this.#tailLength));
    this.#tail = grown;
  }

  /** Makes the tail a piece. Later bytes begin a new tail. */
  #endTail(): void {
    if (this.#tailLength === 0) return;
    this.#pieces.add(this.#tail.subarray(0, this.#tailLength));
    this.#tail = NO_BYTES;
    this.#tailLength = 0;
  }

  /** Ends the queue: the message is complete, or cannot be completed because of `failure`. */
  finish(failure?: { readonly reason: unknown }): void {
    if (this.over || (this.#dropped && failure === undefined)) return;
    this.over = true;
    this.failure = failure;
    if (failure !== undefined) this.held = false;
    this.#notify();
  }

  /** The rate allows bytes again: the reader gets the pieces. */
  unhold(): void {
    if (!this.held) return;
    this.held = false;
    this.#notify();
  }

  /**
   * Drops the unread rest of the message, with all later pieces. The reader then waits for the failure
   * of {@link finish}, and never gets a normal end.
   */
  drop(): void {
    if (this.over && this.empty) return;
    this.#dropped = true;
    this.over = this.failure !== undefined;
    this.#pieces = new Fifo();
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
    while (at < lengthOf(into)) {
      const piece = this.#first();
      if (piece === undefined) break;
      const n = Math.min(piece.length - this.#read, lengthOf(into) - at);
      copyInto(into, at, piece, this.#read, this.#read + n);
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

  /** Resolves at the next change after which the reader may continue. */
  news(): Promise<void> {
    this.#news ??= new Deferred<void>();
    return this.#news.promise;
  }

  /** Returns the first piece, for a read. */
  #first(): Uint8Array | undefined {
    if (this.#pieces.length === 0) this.#endTail();
    return this.#pieces.peek();
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
