/** What a large message is made of, again and again; a prime, so that no boundary falls in with its end. */
const PIECE = 1_048_573;

function byteAt(i: number): number {
  return Math.imul(i, 0x9e3779b1) >>> 24;
}

/** A message of `length` bytes, each of which tells where it stands, in pieces. */
export function* large(length: number): Generator<Uint8Array> {
  const piece = new Uint8Array(PIECE);
  for (let i = 0; i < PIECE; i++) piece[i] = byteAt(i);
  for (let at = 0; at < length; at += PIECE) yield piece.subarray(0, length - at);
}

/** What was seen of a message: its length, the sum of its bytes, and how many stood where they should not. */
export interface Tally {
  readonly length: number;
  readonly sum: number;
  readonly wrong: number;
}

/** Makes a {@link Tally}. */
export class Tallying implements Tally {
  length = 0;
  sum = 0;
  wrong = 0;

  /** Sums up all bytes, and looks at one in every 509 of them. */
  add(bytes: Uint8Array, n: number): void {
    let { sum } = this;
    for (let i = 0; i < n; i++) sum = (sum + bytes[i]!) | 0;
    for (let i = 0; i < n; i += 509) {
      if (bytes[i] !== byteAt((this.length + i) % PIECE)) this.wrong++;
    }
    this.sum = sum;
    this.length += n;
  }
}
