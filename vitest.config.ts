import { configDefaults, defineConfig } from 'vitest/config';
import { ISOLATED, ISOLATED_ATTACKS } from './.config/isolated.ts';
import { sources, transformed } from './.config/sources.ts';

/**
 * `pnpm test` leaves the attacks to `pnpm long attacks`, since they measure time and memory. Most
 * share workers, since a file measures code that earlier files have compiled.
 */
const ATTACKS = 'tests/attacks/**/*.test.ts';
/** Suites of `pnpm long`. */
const LONG = '**/*.{slow,long}.test.ts';

export default defineConfig({
  ssr: sources,
  test: {
    experimental: transformed,
    projects: [
      {
        extends: true,
        test: {
          name: 'shared',
          include: ['{bench,conformance,examples,fuzz,packages,tests,tools}/**/*.test.ts'],
          exclude: [...configDefaults.exclude, LONG, ATTACKS, ...ISOLATED],
          // The files of a worker share its modules, which are loaded once.
          isolate: false,
          // For two cores: many tests wait for a peer or for a timer.
          maxWorkers: 6,
          // MiB of the young generation from the start: a tenth less CPU than with the default of 1.
          execArgv: ['--min-semi-space-size=16'],
        },
      },
      {
        extends: true,
        test: {
          name: 'attacks',
          include: [ATTACKS],
          exclude: [...configDefaults.exclude, LONG, ...ISOLATED_ATTACKS],
          isolate: false,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'isolated-attacks',
          include: ISOLATED_ATTACKS,
          exclude: [...configDefaults.exclude, LONG],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'isolated',
          include: ISOLATED,
          exclude: [...configDefaults.exclude, LONG, ...ISOLATED_ATTACKS],
          maxWorkers: 6,
        },
      },
    ],
    setupFiles: ['tests/kit/setup.ts'],
    // Reports that the portable platform prints; `setup.ts` does the same for those of Node.
    onConsoleLog: (text) => !text.includes('The option report gets such errors.'),
    // For a busy machine: a test takes a few seconds at most.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
