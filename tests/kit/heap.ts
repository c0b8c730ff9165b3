import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Units of work between two readings of the heap. So few units cause no collection. */
const UNITS = 2_000;
const READINGS = 15;
const WARM_UP = 100_000;

const FLAGS = ['--expose-gc', '--no-flush-bytecode', '--no-concurrent-array-buffer-sweeping'];

let gc: (() => void) | undefined;

/**
 * Collects all garbage and releases the memory of array buffers at once. Works in any process without flags. Compiled
 * code stays, so the code after a collection is not slower.
 */
export function collectGarbage(): void {
  if (gc === undefined) {
    for (const flag of FLAGS) setFlagsFromString(flag);
    gc = runInNewContext('gc') as () => void;
  }
  gc();
}

/**
 * Heap bytes that a unit of work (a frame, a message) allocates, garbage or not. Returns the median of several readings,
 * because compilers and coverage allocate as well.
 *
 * @param batch - Does some work and returns its number of units.
 */
export function heapPerUnit(batch: () => number): number {
  // Compiles the code and makes one-time allocations.
  for (let units = 0; units < WARM_UP; ) units += batch();
  const readings: number[] = [];
  for (let i = 0; i < READINGS; i++) {
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    let units = 0;
    while (units < UNITS) units += batch();
    readings.push((process.memoryUsage().heapUsed - before) / units);
  }
  return readings.toSorted((a, b) => a - b)[READINGS >> 1]!;
}
