import { callRelease } from '../callbacks.ts';
import { NO_BYTES } from './slab.ts';

/**
 * The sealed segments of an encoder that are not removed yet, oldest first. They are columns, so
 * that a segment is not an object. The columns keep their length, so that no
 * garbage is created.
 */
export class Segments {
  count = 0;
  bytes = 0;
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

  /**
   * Splits segment `i` in front of the first frame that begins in it. No effect if that frame
   * begins at the first byte of the segment, or if no frame begins in it. The memory is released
   * when both parts are.
   */
  split(i: number): void {
    const boundary = this.#boundaries[this.#check(i)]!;
    const end = this.#ends[i]!;
    if (boundary === this.#starts[i] || boundary === end) return;
    const [first, second] = halves(this.#releases[i]);
    this.#bufs.splice(i + 1, 0, this.#bufs[i]!);
    this.#starts.splice(i + 1, 0, boundary);
    this.#ends.splice(i, 0, boundary);
    this.#boundaries.splice(i, 0, boundary);
    this.#releases.splice(i, 1, first, second);
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

  /** Removes and releases all segments from `keep` on. */
  drop(keep: number): void {
    const releases = this.#releases.slice(keep, this.count);
    for (let i = keep; i < this.count; i++) this.bytes -= this.#ends[i]! - this.#starts[i]!;
    this.#clear(keep);
    releaseAll(releases);
  }

  /**
   * Shortens segment `i` to end at `end`, where a frame begins. Removes and releases all later
   * segments.
   */
  cut(i: number, end: number): void {
    if (i >= this.count) return;
    this.bytes -= this.#ends[i]! - end;
    this.#ends[i] = end;
    this.drop(end === this.#starts[i] ? i : i + 1);
  }

  /**
   * Removes and releases all bytes except the rest of a frame that began before the first segment.
   */
  truncate(): void {
    let keep = 0;
    // Segments without a boundary are the middle of that frame. The first segment with a boundary
    // contains its end.
    while (keep < this.count && this.#boundaries[keep] === this.#ends[keep]) keep++;
    if (keep < this.count && !this.startsFrame(keep)) {
      this.bytes -= this.#ends[keep]! - this.#boundaries[keep]!;
      this.#ends[keep] = this.#boundaries[keep]!;
      keep++;
    }
    this.drop(keep);
  }

  /** Drops the contents of the columns from `count` on. */
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
