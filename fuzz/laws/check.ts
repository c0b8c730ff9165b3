import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';

/** The knobs of `run.ts`; without them the properties are short tests that give the same inputs each time. */
const seed = Number(process.env['FUZZ_SEED'] ?? 1);
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0);
const wanted = Number(process.env['FUZZ_RUNS'] ?? 0);

/** For laws whose runs take turns of the event loop: a machine may be busy, and a long run ends when it is told. */
export const unhurried: { readonly timeout: number } = {
  timeout: seconds > 0 || wanted > 0 ? 0 : 60_000,
};

/**
 * Holds a law against generated inputs.
 *
 * @param runs - How many, unless `FUZZ_RUNS` says another number, or `FUZZ_SECONDS` for how long.
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

/** The seed of laws that make their inputs by themselves, and how many they are asked for: `runs`, or what a knob says. */
export function asked(runs: number): {
  readonly seed: number;
  readonly goesOn: (done: number) => boolean;
} {
  const end = performance.now() + seconds * 1000;
  const most = wanted > 0 ? wanted : runs;
  return { seed, goesOn: (done) => (seconds > 0 ? performance.now() < end : done < most) };
}

function parameters<Ts>(runs: number): fc.Parameters<Ts> {
  const bounds =
    seconds > 0
      ? { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: seconds * 1000 }
      : { numRuns: wanted > 0 ? wanted : runs };
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
