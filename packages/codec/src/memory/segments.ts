import { callRelease } from '../callbacks.ts';
import { NO_BYTES } from './slab.ts';

/** Most empty rows at the front for which no row is moved. */
const EMPTY_ROWS = 32;

/**
 * The sealed segments of an encoder that are not removed yet, oldest first. They are columns, so
 * that a segment is not an object. Segment `i` is in row `#first + i`. The columns keep their
 * length, so that no garbage is created.
 */
export class Segments {
  count = 0;
  bytes = 0;
  /** Rows before it are empty. Moving all rows at each `shift` would be slow for a long queue. */
  #first = 0;
  readonly #bufs: Uint8Array[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** Index of the first byte that begins a frame; the end when there is none. */
  readonly #boundaries: number[] = [];
  readonly #releases: ((() => void) | undefined)[] = [];

  push(
    buf: Uint8Array,
    start: number,
    end: number,
    boundary: number,
    release: (() => void) | undefined,
  ): void {
    const row = this.#first + this.count++;
    this.#bufs[row] = buf;
    this.#starts[row] = start;
    this.#ends[row] = end;
    this.#boundaries[row] = boundary;
    this.#releases[row] = release;
    this.bytes += end - start;
  }

  buf(i: number): Uint8Array {
    return this.#bufs[this.#row(i)]!;
  }

  start(i: number): number {
    return this.#starts[this.#row(i)]!;
  }

  end(i: number): number {
    return this.#ends[this.#row(i)]!;
  }

  release(i: number): (() => void) | undefined {
    return this.#releases[this.#row(i)];
  }

  startsFrame(i: number): boolean {
    const row = this.#row(i);
    return this.#boundaries[row] === this.#starts[row];
  }

  /**
   * Splits segment `i` in front of the first frame that begins in it. No effect if that frame
   * begins at the first byte of the segment, or if no frame begins in it. The memory is released
   * when both parts are.
   */
  split(i: number): void {
    const row = this.#row(i);
    const boundary = this.#boundaries[row]!;
    const end = this.#ends[row]!;
    if (boundary === this.#starts[row] || boundary === end) return;
    const [first, second] = halves(this.#releases[row]);
    this.#bufs.splice(row + 1, 0, this.#bufs[row]!);
    this.#starts.splice(row + 1, 0, boundary);
    this.#ends.splice(row, 0, boundary);
    this.#boundaries.splice(row, 0, boundary);
    this.#releases.splice(row, 1, first, second);
    this.count++;
  }

  /**
   * Removes the first `n` segments.
   *
   * @throws RangeError when there are fewer.
   */
  shift(n: number): void {
    if (!(Number.isInteger(n) && n >= 0 && n <= this.count)) {
      throw new RangeError(`shift(${n}) of ${this.count} segments`);
    }
    const first = this.#first + n;
    this.#clear(this.#first, first);
    this.count -= n;
    if (this.count === 0) this.#first = 0;
    else if (first > EMPTY_ROWS && first >= this.count) this.#moveToFront(first);
    else this.#first = first;
  }

  /** Removes and releases all segments from `keep` on. */
  drop(keep: number): void {
    const from = this.#first + keep;
    const to = this.#first + this.count;
    const releases = this.#releases.slice(from, to);
    this.#clear(from, to);
    this.count = keep;
    if (keep === 0) this.#first = 0;
    releaseAll(releases);
  }

  /**
   * Shortens segment `i` to end at `end`, where a frame begins. Removes and releases all later
   * segments.
   */
  cut(i: number, end: number): void {
    if (i >= this.count) return;
    const row = this.#row(i);
    this.#shorten(row, end);
    this.drop(end === this.#starts[row] ? i : i + 1);
  }

  /**
   * Removes and releases all bytes except the rest of a frame that began before the first segment.
   */
  truncate(): void {
    const end = this.#first + this.count;
    let row = this.#first;
    // Segments without a boundary are the middle of that frame. The first segment with a boundary
    // contains its end.
    while (row < end && this.#boundaries[row] === this.#ends[row]) row++;
    if (row < end && this.#boundaries[row] !== this.#starts[row]) {
      this.#shorten(row, this.#boundaries[row]!);
      row++;
    }
    this.drop(row - this.#first);
  }

  #shorten(row: number, end: number): void {
    this.bytes -= this.#ends[row]! - end;
    this.#ends[row] = end;
  }

  /** Empties the rows `[from, to)` and subtracts their bytes. */
  #clear(from: number, to: number): void {
    for (let row = from; row < to; row++) {
      this.bytes -= this.#ends[row]! - this.#starts[row]!;
      this.#bufs[row] = NO_BYTES;
      this.#releases[row] = undefined;
    }
  }

  /** Moves the rows from `first` on to the start of the columns. */
  #moveToFront(first: number): void {
    this.#first = 0;
    for (let row = 0; row < this.count; row++) {
      const from = first + row;
      this.#bufs[row] = this.#bufs[from]!;
      this.#starts[row] = this.#starts[from]!;
      this.#ends[row] = this.#ends[from]!;
      this.#boundaries[row] = this.#boundaries[from]!;
      this.#releases[row] = this.#releases[from];
      this.#bufs[from] = NO_BYTES;
      this.#releases[from] = undefined;
    }
  }

  #row(i: number): number {
    if (!(i >= 0 && i < this.count)) throw new RangeError(`no segment ${i} of ${this.count}`);
    return this.#first + i;
  }
}

type Release = (() => void) | undefined;

/** Returns two functions. `release` runs when each of them was called at least once. */
function halves(release: Release): [Release, Release] {
  if (release === undefined) return [undefined, undefined];
  let open = 2;
  const half = (): (() => void) => {
    let over = false;
    return () => {
      if (!over && --open === 0) release();
      over = true;
    };
  };
  return [half(), half()];
}

/** Calls every function, then throws the first error of one. */
function releaseAll(releases: readonly Release[]): void {
  const errors: unknown[] = [];
  for (const release of releases) {
    try {
      if (release !== undefined) callRelease(release);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
