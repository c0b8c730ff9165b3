import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';

/** The knobs of `run.ts`; without them the properties are short tests that give the same inputs each time. */
const seed = Number(process.env['FUZZ_SEED'] ?? 1);
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0);

/**
 * Holds a law against generated inputs.
 *
 * @param runs - How many, unless `FUZZ_SECONDS` says for how long.
 * @throws Error with the smallest input that breaks it, and the seed.
 */
export function check<T>(input: fc.Arbitrary<T>, runs: number, law: (input: T) => void): void {
  fc.assert(fc.property(input, law), parameters<[T]>(runs));
}

/** As {@link check}, for a law that takes turns of the event loop. */
export async function checkAsync<T>(
  input: fc.Arbitrary<T>,
  runs: number,
  law: (input: T) => Promise<void>,
): Promise<void> {
  await fc.assert(fc.asyncProperty(input, law), parameters<[T]>(runs));
}

function parameters<Ts>(runs: number): fc.Parameters<Ts> {
  const bounds =
    seconds > 0
      ? { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: seconds * 1000 }
      : { numRuns: runs };
  // Shrinking a long stream may take longer than the search that found it.
  return { ...bounds, seed, endOnFailure: false };
}

/** Inputs that broke something once, by name. */
export function corpus(target: string): { says: string; text: string }[] {
  const folder = new URL(`broken/${target}/`, import.meta.url);
  return readdirSync(folder).map((file) => ({
    says: file.replace(/\.\w+$/, '').replaceAll('-', ' '),
    text: readFileSync(new URL(file, folder), 'utf8').replace(/\n$/, ''),
  }));
}
