/** Payload sizes around the limits of the length field, of a chunk and of a transport's buffer. */
export const SIZES: readonly number[] = [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 1 << 22];

/** Pseudo-random bytes. No size of a buffer divides their number. */
const NOISE = Buffer.alloc(1_000_003);
for (let i = 0, word = 0x9e3779b1; i < NOISE.length; i++) {
  word ^= word << 13;
  word ^= word >>> 17;
  word ^= word << 5;
  NOISE[i] = word;
}

/** Pseudo-random bytes of `seed`: a lost, moved or foreign byte shows. */
export function pattern(size: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafeSlow(size);
  let from = (Math.imul(seed, 0x9e3779b1) >>> 0) % NOISE.length;
  for (let at = 0; at < size; from = 0) at += NOISE.copy(bytes, at, from);
  return bytes;
}

/** Text of exactly `size` bytes of UTF-8, with characters of one to four bytes and no repetition. */
export function patternText(size: number): string {
  const pieces: string[] = [];
  let left = size;
  for (let i = 0; left >= 16; i++) {
    const digits = String(i).padStart(7, '0');
    pieces.push(`${digits}é€😀`);
    left -= 16;
  }
  return pieces.join('') + 'x'.repeat(left);
}
