import { configDefaults, defineConfig } from 'vitest/config';

/** Tests that measure memory, time of the processor or the garbage collector: one at a time, after the others. */
const ALONE = [
  'packages/codec/test/allocation.test.ts',
  'packages/node-server/test/collected.test.ts',
  'tests/{guard-rails,soak}/**/*.test.ts',
];
/** Tests that leave no global state behind: their files share one worker's modules, which are loaded once. */
const SHARED = [
  'packages/{conformance,conn,http-shared}/test/**/*.test.ts',
  '{bench,tools}/test/**/*.test.ts',
  'tests/{contracts,kit,mutation}/**/*.test.ts',
];
/** Among them, tests of what a process creates once: each file needs new modules. */
const ISOLATED = 'packages/conn/test/memory/**/*.test.ts';
/** Suites of `pnpm long`. */
const LONG = '**/*.{slow,long}.test.ts';

const all = { lines: 95, branches: 95 };

export default defineConfig({
  // Workspace packages resolve to their TypeScript sources, so tests need no build.
  ssr: { resolve: { conditions: ['@ws/source', 'module', 'node', 'development|production'] } },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'shared',
          include: SHARED,
          exclude: [...configDefaults.exclude, LONG, ...ALONE, ISOLATED],
          isolate: false,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'isolated',
          include: [
            ISOLATED,
            'packages/!(conformance|conn|http-shared)/test/**/*.test.ts',
            'examples/*/test/**/*.test.ts',
            'fuzz/**/*.test.ts',
            'tests/!(contracts|kit|mutation)/**/*.test.ts',
          ],
          exclude: [...configDefaults.exclude, LONG, ...ALONE],
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
    testTimeout: 10_000,
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
