/** Bytes of several messages, concatenated. */
export interface Pieces {
  readonly bytes: Buffer;
  /** Start of piece `i`, plus one entry for the end. */
  readonly offsets: Uint32Array;
  readonly count: number;
}

/** Concatenates pieces. */
export function piecesOf(pieces: readonly Buffer[]): Pieces {
  const offsets = new Uint32Array(pieces.length + 1);
  for (const [i, { length }] of pieces.entries()) offsets[i + 1] = offsets[i]! + length;
  return { bytes: Buffer.concat(pieces), offsets, count: pieces.length };
}
