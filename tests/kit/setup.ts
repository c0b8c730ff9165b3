// Setup of vitest, for each file. A worker keeps what its earlier files have set up.
import { expect } from 'vitest';

/** Compares bytes in one call. vitest's own comparison makes a string of each index. */
function sameBytes(a: unknown, b: unknown): boolean | undefined {
  if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return undefined;
  // toStrictEqual also compares the classes.
  return a.constructor === b.constructor ? Buffer.compare(a, b) === 0 : undefined;
}

/**
 * Prints no report of our packages: hundreds of tests make mistakes, and the reports are delayed. Node's own warnings
 * have other names.
 */
function printNoReports(): void {
  for (const print of process.listeners('warning')) {
    process.off('warning', print).on('warning', (warning) => {
      if (warning.name !== 'Warning') print(warning);
    });
  }
}

const worker = globalThis as { isSetUp?: true };
if (!worker.isSetUp) {
  expect.addEqualityTesters([sameBytes]);
  printNoReports();
}
worker.isSetUp = true;
