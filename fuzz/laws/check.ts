import { readdirSync, readFileSync } from 'node:fs';
import { rounds } from '@ws/tests';
import fc from 'fast-check';

// `fuzz/run.ts laws` sets these variables. Without them, the laws are short tests with equal inputs
// in each run.
const seed = Number(process.env['FUZZ_SEED'] ?? 1);
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0);
const wanted = Number(process.env['FUZZ_RUNS'] ?? 0);

/** The number of generated inputs without these variables. */
const briefly = (runs: number): number => rounds(Math.ceil(runs / 3), runs);

/** Test timeout for asynchronous laws: none in a long run, else the default. */
export const longTimeout: { readonly timeout?: number } =
  seconds > 0 || wanted > 0 ? { timeout: 0 } : {};

/**
 * Checks a law with generated inputs.
 *
 * @param runs - Number of inputs, unless `FUZZ_RUNS` or `FUZZ_SECONDS` is set.
 * @throws Error with the seed and the smallest input that breaks the law.
 */
export function check<T>(input: fc.Arbitrary<T>, runs: number, law: (input: T) => void): void {
  fc.assert(fc.property(input, law), parameters<[T]>(runs));
}

/** Checks an asynchronous law: see {@link check}. */
export async function checkAsync<T>(
  input: fc.Arbitrary<T>,
  runs: number,
  law: (input: T) => Promise<void>,
): Promise<void> {
  await fc.assert(fc.asyncProperty(input, law), parameters<[T]>(runs));
}

/** The seed and the budget of a law that makes its own inputs: `runs`, or the variables. */
export function runBudget(runs: number): {
  readonly seed: number;
  readonly hasNext: (done: number) => boolean;
} {
  const end = performance.now() + seconds * 1000;
  const maxRuns = wanted > 0 ? wanted : runs;
  return { seed, hasNext: (done) => (seconds > 0 ? performance.now() < end : done < maxRuns) };
}

function parameters<Ts>(runs: number): fc.Parameters<Ts> {
  const bounds =
    seconds > 0
      ? { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: seconds * 1000 }
      : { numRuns: wanted > 0 ? wanted : briefly(runs) };
  // Shrinking a long stream may take longer than the search.
  return { ...bounds, seed, endOnFailure: false };
}

/** Inputs that once broke a law, by name. */
export function brokenInputs(law: string): { name: string; text: string }[] {
  const folder = new URL(`broken/${law}/`, import.meta.url);
  return readdirSync(folder).map((file) => ({
    name: file.replace(/\.\w+$/, '').replaceAll('-', ' '),
    text: readFileSync(new URL(file, folder), 'utf8').replace(/\n$/, ''),
  }));
}
