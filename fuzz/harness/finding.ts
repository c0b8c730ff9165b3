import { createHash } from 'node:crypto';
import { inspect } from 'node:util';

/** An input that broke something. */
export interface Finding {
  readonly input: Uint8Array;
  /** What was thrown, with its stack. */
  readonly text: string;
  /** The same for all inputs that break it in the same way, as far as the message tells. */
  readonly sign: string;
}

export function findingOf(input: Uint8Array, thrown: unknown): Finding {
  const message = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  // Behind the second colon stand the values.
  const sign = message.split(':').slice(0, 2).join(':').replace(/\d+/g, '#').slice(0, 120);
  return { input, text: inspect(thrown), sign };
}

/** A name for bytes: two inputs have the same one only when they are the same. */
export function nameOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

/**
 * Makes an input smaller, as long as `fails` says that it still fails: takes pieces out, then makes bytes zero.
 *
 * @param most - How many times it may ask.
 */
export async function minimise(
  input: Uint8Array,
  fails: (input: Uint8Array) => Promise<boolean>,
  most = 2_000,
): Promise<Uint8Array> {
  let best = input;
  let asked = 0;
  const attempt = async (smaller: Uint8Array): Promise<boolean> => {
    if (asked++ >= most || !(await fails(smaller))) return false;
    best = smaller;
    return true;
  };
  for (let size = best.length; size >= 1 && asked < most; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.length && asked < most; ) {
      const without = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      if (!(await attempt(Uint8Array.from(without)))) at += size;
    }
  }
  for (let at = 0; at < best.length && asked < most; at++) {
    if (best[at] === 0) continue;
    const zeroed = best.slice();
    zeroed[at] = 0;
    await attempt(zeroed);
  }
  return best;
}
