import { join } from 'node:path';
import process from 'node:process';
import { configDefaults, defineConfig } from 'vitest/config';

/** The tests that judge the mutants of one package. Without those that measure memory: a mutant's code allocates. */
export default defineConfig({
  root: join(import.meta.dirname, '../..'),
  ssr: { resolve: { conditions: ['@ws/source', 'module', 'node', 'development|production'] } },
  test: {
    include: [`packages/${process.env['MUTATED']}/test/**/*.test.ts`],
    exclude: [...configDefaults.exclude, '**/*.{slow,long}.test.ts', '**/allocation.test.ts'],
    testTimeout: 20_000,
  },
});
