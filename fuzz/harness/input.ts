const NONE: Uint8Array = new Uint8Array(0);

/**
 * Reads an input from the front: settings first, then the bytes under test. Past the end all values
 * are zero.
 */
export class Input {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  /** 16 bits, big-endian. */
  word(): number {
    return this.byte() * 256 + this.byte();
  }

  flag(): boolean {
    return this.byte() % 2 === 1;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.byte() % list.length]!;
  }

  /** Copies the next `count` bytes, or fewer at the end. */
  bytes(count: number): Uint8Array {
    if (this.done) return NONE;
    const taken = this.#bytes.slice(this.#at, this.#at + count);
    this.#at += count;
    return taken;
  }

  /** Copies the remaining bytes. */
  rest(): Uint8Array {
    return this.bytes(this.#bytes.length);
  }

  /** Lengths of chunks, for use in turn: 1 to 16,640 bytes, or Infinity for all bytes. */
  cuts(count: number): number[] {
    return Array.from({ length: count }, () => {
      const size = this.byte();
      if (size === 0) return Number.POSITIVE_INFINITY;
      return size < 128 ? size : size < 192 ? (size - 127) * 16 : (size - 190) * 256;
    });
  }
}

/** Copies `bytes` in chunks of the given lengths, at most about `maxPieces` chunks. */
export function* piecesOf(
  bytes: Uint8Array,
  cuts: readonly number[],
  maxPieces = 200,
): Generator<Uint8Array> {
  const least = Math.ceil(bytes.length / maxPieces);
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = Math.min(bytes.length, at + Math.max(least, cuts[i % cuts.length]!));
    yield bytes.slice(at, end);
    at = end;
  }
}
