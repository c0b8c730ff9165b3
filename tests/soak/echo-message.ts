import type { Random } from '../random.ts';

const MOST = 128 * 1024;
const BYTES = Buffer.alloc(MOST);
for (let i = 0; i < MOST; i++) BYTES[i] = Math.imul(i, 0x9e3779b1) >>> 24;
/** One byte a character, and as compressible as prose is. */
const TEXT = Buffer.from(BYTES.map((b, i) => (i % 64 < 48 ? 97 + (i % 23) : 32 + (b % 90))));

/** A message to be echoed. */
export interface Said {
  readonly binary: boolean;
  readonly bytes: Buffer;
}

/** One of any size, mostly small: a view of memory that never changes. */
export function anything(random: Random): Said {
  const binary = random.below(2) === 0;
  const most = random.once(20) ? MOST : random.pick([200, 2_000, 20_000]);
  const size = random.below(most);
  const at = random.below(MOST - size);
  return { binary, bytes: (binary ? BYTES : TEXT).subarray(at, at + size) };
}

/** @throws Error when what came back is not what was said. */
export function same(said: Said, binary: boolean, heard: Uint8Array): void {
  if (said.binary !== binary) throw new Error('an echo of the other type');
  if (!said.bytes.equals(heard)) throw new Error('an echo of other bytes');
}
