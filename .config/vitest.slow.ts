import { join } from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { ISOLATED_SLOW } from './isolated.ts';
import { sources } from './sources.ts';

// `pnpm long poison` runs them, and `.ci/run`.
const POISON = 'tests/pool-poison/**';

/** `pnpm long slow`: tests that start programs and browsers, or compute for long. `.ci/run` runs them too. */
export default defineConfig({
  root: join(import.meta.dirname, '..'),
  ssr: sources,
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'shared',
          include: ['**/*.slow.test.ts'],
          exclude: [...configDefaults.exclude, POISON, ...ISOLATED_SLOW],
          // The files of a worker share its modules, which are loaded once.
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'isolated',
          include: ISOLATED_SLOW,
        },
      },
    ],
    setupFiles: ['tests/kit/setup.ts'],
    // Many of these tests wait for a process most of the time.
    maxWorkers: 3,
    // Programs and browsers start slowly on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    reporters: ['default', './tools/count-reporter.ts'],
  },
});
