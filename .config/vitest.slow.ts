import { join } from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { sources } from './sources.ts';

/** `pnpm long slow`: tests that start programs and browsers, or compute for long. `.ci/run` runs them too. */
export default defineConfig({
  root: join(import.meta.dirname, '..'),
  ssr: sources,
  test: {
    include: ['**/*.slow.test.ts'],
    // `pnpm check poison` runs them.
    exclude: [...configDefaults.exclude, 'tests/pool-poison/**'],
    // Many of these tests wait for a process most of the time.
    maxWorkers: 3,
    // Programs and browsers start slowly on a busy machine.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 60_000 } },
    reporters: ['default', './tools/count-reporter.ts'],
  },
});
