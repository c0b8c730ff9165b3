import { Deferred } from './promises.ts';

/** Charged for each piece that waits, on top of its bytes. */
const PIECE_COST = 128;

/** The message that is being read as a stream: its pieces between the connection and the reader. */
export class Inflow {
  /** What the unread pieces count against the read-ahead. */
  cost = 0;
  /** The reader has nothing and asks for more. */
  demanding = false;
  /** Nothing more will come: the message is complete, or `failure` tells why not. */
  over = false;
  failure: { readonly reason: unknown } | undefined;
  readonly #pieces: Uint8Array[] = [];
  /** Bytes of the first piece that are read already. */
  #read = 0;
  #news: Deferred<void> | undefined;

  get empty(): boolean {
    return this.#pieces.length === 0;
  }

  /** Adds a piece, which nobody else writes to. */
  push(piece: Uint8Array): void {
    if (this.over || piece.length === 0) return;
    this.#pieces.push(piece);
    this.cost += piece.length + PIECE_COST;
    this.demanding = false;
    this.#tell();
  }

  /** The message is complete, or the connection has ended before it was. */
  finish(failure?: { readonly reason: unknown }): void {
    if (this.over) return;
    this.over = true;
    this.failure = failure;
    this.demanding = false;
    this.#tell();
  }

  /** Drops what is unread. */
  clear(): void {
    this.#pieces.length = 0;
    this.#read = 0;
    this.cost = 0;
  }

  /** Copies what is there to `into`, as far as it fits; says how much that was. */
  take(into: Uint8Array): number {
    let at = 0;
    while (at < into.length) {
      const piece = this.#pieces[0];
      if (piece === undefined) break;
      const n = Math.min(piece.length - this.#read, into.length - at);
      into.set(piece.subarray(this.#read, this.#read + n), at);
      at += n;
      this.#read += n;
      if (this.#read === piece.length) this.#drop(piece);
    }
    return at;
  }

  /** The rest of the first piece, if there is one. */
  shift(): Uint8Array | undefined {
    const piece = this.#pieces[0];
    if (piece === undefined) return undefined;
    const rest = piece.subarray(this.#read);
    this.#drop(piece);
    return rest;
  }

  /** Resolves when there is something to take, or nothing will come any more. */
  news(): Promise<void> {
    this.#news ??= new Deferred<void>();
    return this.#news.promise;
  }

  #drop(piece: Uint8Array): void {
    this.#pieces.shift();
    this.#read = 0;
    this.cost -= piece.length + PIECE_COST;
  }

  #tell(): void {
    const news = this.#news;
    this.#news = undefined;
    news?.resolve();
  }
}
