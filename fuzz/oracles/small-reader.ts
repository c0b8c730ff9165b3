import type { OwnedBytes } from '@ws/codec';

/** As in the product: bytes charged for each piece. */
const PIECE_COST = 128;
/** As in the product: unread pieces are merged up to this size. */
const MERGED = 4096;

/** Another read is pending, or a later read has dropped the rest of this message. */
export class Pending extends Error {
  override name = 'ReadPendingError';
}

/** The connection of a reader. */
interface Owner {
  readonly pieces: Pieces | undefined;
  readonly ended: { readonly reason: unknown } | undefined;
  on(event: 'read'): void;
  run(upTo: 'reader'): void;
  gotPiece(): void;
}

/** The unread pieces of a message. */
export class Pieces {
  /** No piece follows. */
  over = false;
  failure: { readonly reason: unknown } | undefined;
  reading = false;
  into: Uint8Array | undefined;
  filled = 0;
  #dropped = false;
  #list: { bytes: Uint8Array; merges: boolean }[] = [];
  #news: (() => void)[] = [];

  get cost(): number {
    return this.#list.reduce((sum, { bytes }) => sum + bytes.length + PIECE_COST, 0);
  }

  get empty(): boolean {
    return this.#list.length === 0 && this.filled === 0;
  }

  /** Whether a reader that waits needs no more bytes. */
  get hasEnough(): boolean {
    const isFull = this.into !== undefined && this.filled === this.into.length;
    return this.over || this.cost >= MERGED || isFull;
  }

  get isReadToEnd(): boolean {
    return this.over && this.empty && !this.pending;
  }

  /** Whether a read of this message is pending. */
  get pending(): boolean {
    return this.failure === undefined && this.reading;
  }

  /** @param isWhole - Whether this is a whole message: it is not merged. */
  push(bytes: Uint8Array, isWhole = false): void {
    if (this.over || this.#dropped || bytes.length === 0) return;
    let start = 0;
    if (this.into !== undefined && this.#list.length === 0) {
      start = Math.min(bytes.length, this.into.length - this.filled);
      this.into.set(bytes.subarray(0, start), this.filled);
      this.filled += start;
    }
    const rest = bytes.slice(start);
    const last = this.#list.at(-1);
    if (last?.merges === true && !isWhole && last.bytes.length + rest.length <= MERGED) {
      last.bytes = Buffer.concat([last.bytes, rest]);
    } else if (rest.length > 0) this.#list.push({ bytes: rest, merges: !isWhole });
    this.#tell();
  }

  finish(failure?: { readonly reason: unknown }): void {
    if (this.over || (this.#dropped && failure === undefined)) return;
    this.over = true;
    this.failure = failure;
    this.#tell();
  }

  drop(): void {
    if (this.over && this.empty) return;
    this.#dropped = true;
    this.over = this.failure !== undefined;
    this.#list = [];
    this.into = undefined;
    this.filled = 0;
  }

  /** Reads as many bytes as fit into the array, or the whole first piece without one. */
  take(into: Uint8Array | undefined): Uint8Array {
    const first = this.#list[0];
    if (first !== undefined) first.merges = false;
    if (into === undefined) return this.#list.shift()!.bytes;
    let at = this.filled;
    this.into = undefined;
    this.filled = 0;
    while (at < into.length && this.#list[0] !== undefined) {
      const piece = this.#list[0];
      const n = Math.min(into.length - at, piece.bytes.length);
      into.set(piece.bytes.subarray(0, n), at);
      at += n;
      piece.merges = false;
      piece.bytes = piece.bytes.subarray(n);
      if (piece.bytes.length === 0) this.#list.shift();
    }
    return into.subarray(0, at);
  }

  news(): Promise<void> {
    return new Promise((resolve) => this.#news.push(resolve));
  }

  #tell(): void {
    for (const resolve of this.#news.splice(0)) resolve();
  }
}

/** A message as a stream. */
export class SmallReader {
  readonly #pieces: Pieces;
  readonly #conn: Owner;
  #hasRest = false;

  constructor(pieces: Pieces, conn: Owner) {
    this.#pieces = pieces;
    this.#conn = conn;
  }

  async read(into: Uint8Array): Promise<number> {
    const pieces = this.#pieces;
    if (pieces.reading) throw new Pending();
    this.#throwIfFailed();
    if (pieces.empty) pieces.into = into;
    this.#ask();
    if (this.#isReady()) return this.#taken(into)?.length ?? 0;
    return this.#alone(async () => (await this.#next(into))?.length ?? 0);
  }

  async bytes(): Promise<OwnedBytes> {
    if (this.#pieces.reading) throw new Pending();
    if (this.#hasRest) throw new TypeError('read before');
    this.#throwIfFailed();
    return this.#alone(async () => {
      const list: Uint8Array[] = [];
      for (;;) {
        const piece = await this.#next(undefined);
        if (piece === undefined) break;
        list.push(piece);
      }
      this.#hasRest = true;
      return Uint8Array.from(Buffer.concat(list));
    });
  }

  #throwIfFailed(): void {
    const { empty, failure } = this.#pieces;
    if (empty && failure !== undefined) throw failure.reason;
  }

  async #alone<T>(read: () => Promise<T>): Promise<T> {
    this.#pieces.reading = true;
    try {
      return await read();
    } finally {
      this.#pieces.reading = false;
    }
  }

  #isReady(): boolean {
    return this.#pieces.over || !this.#pieces.empty;
  }

  /** Asks the connection for bytes, unless some are there. */
  #ask(): void {
    const pieces = this.#pieces;
    const conn = this.#conn;
    if (!pieces.empty || pieces.over) return;
    if (pieces !== conn.pieces) return pieces.finish({ reason: new Pending() });
    if (conn.ended !== undefined) return pieces.finish(conn.ended);
    conn.on('read');
    conn.run('reader');
  }

  async #next(into: Uint8Array | undefined): Promise<Uint8Array | undefined> {
    this.#ask();
    while (!this.#isReady()) {
      await this.#pieces.news();
      this.#ask();
    }
    return this.#taken(into);
  }

  #taken(into: Uint8Array | undefined): Uint8Array | undefined {
    const pieces = this.#pieces;
    if (pieces.empty) {
      if (pieces.failure !== undefined) throw pieces.failure.reason;
      return undefined;
    }
    const bytes = pieces.take(into);
    if (pieces === this.#conn.pieces) {
      this.#conn.gotPiece();
      this.#conn.run('reader');
    }
    return bytes;
  }
}
