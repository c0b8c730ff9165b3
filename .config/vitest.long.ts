import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** The slow suites of `pnpm long`, one file at a time. */
export default defineConfig({
  root: join(import.meta.dirname, '..'),
  ssr: { resolve: { conditions: ['@ws/source', 'module', 'node', 'development|production'] } },
  test: { include: ['**/*.long.test.ts'], fileParallelism: false, testTimeout: 60_000 },
});
