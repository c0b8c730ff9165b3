// Setup of vitest, for each file. A worker keeps the testers of its earlier files.
import { expect } from 'vitest';

/** Compares bytes in one call. vitest's own comparison makes a string of each index. */
function sameBytes(a: unknown, b: unknown): boolean | undefined {
  if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return undefined;
  // toStrictEqual also compares the classes.
  return a.constructor === b.constructor ? Buffer.compare(a, b) === 0 : undefined;
}

const worker = globalThis as { comparesBytes?: true };
if (!worker.comparesBytes) expect.addEqualityTesters([sameBytes]);
worker.comparesBytes = true;
