import { configDefaults, defineConfig } from 'vitest/config';
import { sources } from './.config/sources.ts';

/** Tests that measure the heap: one at a time, since code that is compiled late allocates more. */
const ALONE = [
  'packages/codec/test/allocation.test.ts',
  'packages/node-server/test/collected.test.ts',
  'tests/guard-rails/{allocation,idle-memory,loop-allocation}.test.ts',
];
/** Tests of what a process creates once, or of what is left in a process: each file gets its own. */
const ISOLATED = [
  'fuzz/**/*.test.ts',
  'packages/codec/test/{frames/decoder,masking/*}.test.ts',
  'packages/{codec,conn}/test/memory/**/*.test.ts',
  'tests/attacks/{lengths,pools}.test.ts',
  'tests/guard-rails/!(allocation|idle-memory|loop-allocation).test.ts',
  'tests/pool-poison/**/*.test.ts',
];
/**
 * Attacks are measured: they run after the shared tests, and a file measures code that the files
 * before it have compiled.
 */
const ATTACKS = 'tests/attacks/**/*.test.ts';
/** Suites of `pnpm long`. */
const LONG = '**/*.{slow,long}.test.ts';

const all = { lines: 95, branches: 95 };

export default defineConfig({
  ssr: sources,
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'shared',
          include: ['{bench,examples,packages,tests,tools}/**/*.test.ts'],
          exclude: [...configDefaults.exclude, LONG, ATTACKS, ...ALONE, ...ISOLATED],
          // The files of a worker share its modules, which are loaded once.
          isolate: false,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'attacks',
          include: [ATTACKS],
          exclude: [...configDefaults.exclude, LONG, ...ISOLATED],
          isolate: false,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'isolated',
          include: ISOLATED,
          exclude: [...configDefaults.exclude, LONG],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: ALONE,
          exclude: [...configDefaults.exclude, LONG],
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
    // For a busy machine: a test takes a second or two at most.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['packages/codec/src/**/*.ts', 'packages/conn/src/**/*.ts'],
      exclude: ['**/*.d.ts'],
      reporter: ['text', 'lcovonly'],
      reportsDirectory: '.out/coverage',
      thresholds: { 'packages/codec/src/**': all, 'packages/conn/src/**': all },
    },
  },
});
