const NONE: Uint8Array = new Uint8Array(0);

/** Reads an input from its front as choices: settings first, then the bytes in question. Past its end all is zero. */
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

  /** Sixteen bits. */
  word(): number {
    return this.byte() * 256 + this.byte();
  }

  flag(): boolean {
    return this.byte() % 2 === 1;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.byte() % list.length]!;
  }

  /** A copy of the next bytes, as many as there are. */
  bytes(count: number): Uint8Array {
    if (this.done) return NONE;
    const taken = this.#bytes.slice(this.#at, this.#at + count);
    this.#at += count;
    return taken;
  }

  /** A copy of all that is left. */
  rest(): Uint8Array {
    return this.bytes(this.#bytes.length);
  }

  /** Lengths of pieces, to be used in turn: of one byte mostly, up to a few thousand, or of all there is. */
  cuts(count: number): number[] {
    return Array.from({ length: count }, () => {
      const size = this.byte();
      if (size === 0) return Number.POSITIVE_INFINITY;
      return size < 128 ? size : size < 192 ? (size - 127) * 16 : (size - 190) * 256;
    });
  }
}

/** Cuts `bytes` into copies of its pieces, at most `most` of them. */
export function* piecesOf(
  bytes: Uint8Array,
  cuts: readonly number[],
  most = 200,
): Generator<Uint8Array> {
  const least = Math.ceil(bytes.length / most);
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = Math.min(bytes.length, at + Math.max(least, cuts[i % cuts.length]!));
    yield bytes.slice(at, end);
    at = end;
  }
}
