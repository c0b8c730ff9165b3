/** Size of the repeated content in bytes: a prime, so that no buffer boundary coincides with its end. */
const PIECE = 1_048_573;

function byteAt(i: number): number {
  return Math.imul(i, 0x9e3779b1) >>> 24;
}

/** A message of `length` bytes in pieces. Each byte depends on its position. */
export function* large(length: number): Generator<Uint8Array> {
  const piece = new Uint8Array(PIECE);
  for (let i = 0; i < PIECE; i++) piece[i] = byteAt(i);
  for (let at = 0; at < length; at += PIECE) yield piece.subarray(0, length - at);
}

/** Checksum of a received message. */
export class Checksum {
  /** Bytes so far. */
  length = 0;
  /** Sum of all bytes, as a signed 32-bit integer. */
  sum = 0;
  /** Wrong bytes among those that were compared: one in 509. */
  wrong = 0;

  /** Adds the first `n` bytes. */
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
