import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { sources } from './sources.ts';

/** The slow suites of `pnpm long`, one file at a time. */
export default defineConfig({
  root: join(import.meta.dirname, '..'),
  ssr: sources,
  test: {
    include: ['**/*.long.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
