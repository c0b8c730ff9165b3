import { createHash } from 'node:crypto';
import { inspect } from 'node:util';

/** An input that broke something. */
export interface Finding {
  readonly input: Uint8Array;
  /** The thrown error with its stack. */
  readonly text: string;
  /** Class and start of the error message, without numbers: equal for two inputs of one bug. */
  readonly signature: string;
}

export function findingOf(input: Uint8Array, thrown: unknown): Finding {
  const message = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  // Messages carry their values after the second colon.
  const signature = message.split(':').slice(0, 2).join(':').replace(/\d+/g, '#').slice(0, 120);
  return { input, text: inspect(thrown), signature };
}

/** First 16 hex digits of the SHA-256 of `bytes`: a file name for an input. */
export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

/**
 * Shrinks an input while `fails` returns true: removes pieces, then sets bytes to zero.
 *
 * @param maxAttempts - Limit for calls of `fails`.
 */
export async function minimise(
  input: Uint8Array,
  fails: (input: Uint8Array) => Promise<boolean>,
  maxAttempts = 2_000,
): Promise<Uint8Array> {
  let best = input;
  let attempts = 0;
  const attempt = async (smaller: Uint8Array): Promise<boolean> => {
    if (attempts++ >= maxAttempts || !(await fails(smaller))) return false;
    best = smaller;
    return true;
  };
  for (let size = best.length; size >= 1 && attempts < maxAttempts; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.length && attempts < maxAttempts; ) {
      const without = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      if (!(await attempt(Uint8Array.from(without)))) at += size;
    }
  }
  for (let at = 0; at < best.length && attempts < maxAttempts; at++) {
    if (best[at] === 0) continue;
    const zeroed = best.slice();
    zeroed[at] = 0;
    await attempt(zeroed);
  }
  return best;
}
