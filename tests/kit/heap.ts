import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Units of work between two readings of the heap: so few that nothing is collected meanwhile. */
const UNITS = 2_000;
const READINGS = 25;
const WARM_UP = 100_000;

const FLAGS = ['--expose-gc', '--no-flush-bytecode', '--no-concurrent-array-buffer-sweeping'];

let gc: (() => void) | undefined;

/**
 * Collects all garbage, and gives back at once what buffers had. Works in any process, whatever its flags. Compiled code
 * stays: a collection is not to make what comes after it slower.
 */
export function collectGarbage(): void {
  if (gc === undefined) {
    for (const flag of FLAGS) setFlagsFromString(flag);
    gc = runInNewContext('gc') as () => void;
  }
  gc();
}

/**
 * Heap bytes that a unit of work (a frame, a message) leaves behind, garbage or not: the middle of several readings,
 * since compilers and coverage leave things there as well, now and then.
 *
 * @param batch - Does some of the work and says how many units it was.
 */
export function heapPerUnit(batch: () => number): number {
  // Compiled, and with all memory that is made once.
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
