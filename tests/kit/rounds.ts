import process from 'node:process';

/**
 * How much a test does: `brief`, or `full` with FULL_ROUNDS, which `pnpm long slow` sets, and `.ci/run` for random
 * tests and large tables. So the time of the test command goes to what differs between tests, and not to repetitions.
 */
export function rounds<T>(brief: T, full: T): T {
  return process.env['FULL_ROUNDS'] === undefined ? brief : full;
}
