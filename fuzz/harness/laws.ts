import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = new URL('../laws/', import.meta.url);

/** Names of the files in `laws/`. */
export function lawNames(): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => file.replace('.test.ts', ''));
}

/**
 * Runs the laws in vitest with new inputs. `laws/check.ts` reads the seed and the budget from the
 * environment.
 *
 * @returns Exit code: 0 if all laws hold, else 1.
 */
export async function runLaws(
  laws: readonly string[],
  budget: { readonly minutes: number } | { readonly runs: number },
  seed: number,
  against: string | undefined,
): Promise<number> {
  if (against !== undefined) process.env['FUZZ_AGAINST'] = resolve(against);
  process.env['FUZZ_SEED'] = String(seed);
  if ('runs' in budget) process.env['FUZZ_RUNS'] = String(budget.runs);
  else process.env['FUZZ_SECONDS'] = String(60 * budget.minutes);
  const amount = 'runs' in budget ? `${budget.runs} runs` : `${budget.minutes} min`;
  console.log(`seed ${seed}, ${amount} for each test`);

  const { startVitest } = await import('vitest/node');
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const files = laws.map((law) => `fuzz/laws/${law}.test.ts`);
  // A test may run for hours, and so may the search for a smaller input.
  const vitest = await startVitest('test', files, { root, watch: false, testTimeout: 0 });
  await vitest.close();
  return Number(process.exitCode ?? 0) === 0 ? 0 : 1;
}
