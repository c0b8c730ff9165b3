const NO_BYTES = new Uint8Array(0);

/**
 * What an encoder has sealed and nobody has taken away yet, oldest first. Kept as columns, so that a segment is no
 * object; the columns keep their length, so that a flush creates no garbage.
 */
export class Segments {
  /** How many there are. */
  count = 0;
  /** How many bytes they have together. */
  bytes = 0;
  readonly #bufs: Uint8Array[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** Index of the first byte with which a frame begins; the end when none does. */
  readonly #boundaries: number[] = [];
  readonly #releases: ((() => void) | undefined)[] = [];

  push(
    buf: Uint8Array,
    start: number,
    end: number,
    boundary: number,
    release: (() => void) | undefined,
  ): void {
    const i = this.count++;
    this.#bufs[i] = buf;
    this.#starts[i] = start;
    this.#ends[i] = end;
    this.#boundaries[i] = boundary;
    this.#releases[i] = release;
    this.bytes += end - start;
  }

  buf(i: number): Uint8Array {
    return this.#bufs[this.#check(i)]!;
  }

  start(i: number): number {
    return this.#starts[this.#check(i)]!;
  }

  end(i: number): number {
    return this.#ends[this.#check(i)]!;
  }

  release(i: number): (() => void) | undefined {
    return this.#releases[this.#check(i)];
  }

  startsFrame(i: number): boolean {
    return this.#boundaries[this.#check(i)] === this.#starts[i];
  }

  /** Forgets the first `n`. */
  shift(n: number): void {
    if (!(Number.isInteger(n) && n >= 0 && n <= this.count)) {
      throw new RangeError(`shift(${n}) of ${this.count} segments`);
    }
    for (let i = 0; i < n; i++) this.bytes -= this.#ends[i]! - this.#starts[i]!;
    const rest = this.count - n;
    for (let to = 0, from = n; to < rest; to++, from++) {
      this.#bufs[to] = this.#bufs[from]!;
      this.#starts[to] = this.#starts[from]!;
      this.#ends[to] = this.#ends[from]!;
      this.#boundaries[to] = this.#boundaries[from]!;
      this.#releases[to] = this.#releases[from];
    }
    this.#clear(rest);
  }

  /** Forgets and releases all from `keep` on. */
  drop(keep: number): void {
    const releases = this.#releases.slice(keep, this.count);
    for (let i = keep; i < this.count; i++) this.bytes -= this.#ends[i]! - this.#starts[i]!;
    this.#clear(keep);
    for (const release of releases) release?.();
  }

  /** Shortens segment `i` to end at `end`, where a frame begins, and forgets and releases all behind it. */
  cut(i: number, end: number): void {
    if (i >= this.count) return;
    this.bytes -= this.#ends[i]! - end;
    this.#ends[i] = end;
    this.drop(end === this.#starts[i] ? i : i + 1);
  }

  /** Forgets and releases all but the rest of a frame that began before the first segment. */
  truncate(): void {
    let keep = 0;
    // Segments without a boundary are the middle of that frame; the first one that has a boundary ends it there.
    while (keep < this.count && this.#boundaries[keep] === this.#ends[keep]) keep++;
    if (keep < this.count && !this.startsFrame(keep)) {
      this.bytes -= this.#ends[keep]! - this.#boundaries[keep]!;
      this.#ends[keep] = this.#boundaries[keep]!;
      keep++;
    }
    this.drop(keep);
  }

  /** Lets go of what the columns held from `count` on. */
  #clear(count: number): void {
    for (let i = count; i < this.count; i++) {
      this.#bufs[i] = NO_BYTES;
      this.#releases[i] = undefined;
    }
    this.count = count;
  }

  #check(i: number): number {
    if (!(i >= 0 && i < this.count)) throw new RangeError(`no segment ${i} of ${this.count}`);
    return i;
  }
}
