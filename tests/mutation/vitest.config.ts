import { join } from 'node:path';
import process from 'node:process';
import { configDefaults, defineConfig } from 'vitest/config';
import { sources } from '../../.config/sources.ts';

/** The tests that judge the mutants of one package. Without those that measure memory: a mutant's code allocates. */
export default defineConfig({
  root: join(import.meta.dirname, '../..'),
  ssr: sources,
  test: {
    include: [`packages/${process.env['MUTATED']}/test/**/*.test.ts`],
    exclude: [...configDefaults.exclude, '**/*.{slow,long}.test.ts', '**/allocation.test.ts'],
    testTimeout: 20_000,
  },
});
