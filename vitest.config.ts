import { configDefaults, defineConfig } from 'vitest/config';

/** Tests that measure memory, time of the processor or the garbage collector: one at a time, after the others. */
const ALONE = [
  'packages/codec/test/allocation.test.ts',
  'packages/node-server/test/collected.test.ts',
  'tests/{guard-rails,soak}/**/*.test.ts',
];
/** Tests without sockets or global state: their files share one worker's modules. */
const PURE = ['packages/conn/test/!(memory)/**/*.test.ts', 'packages/conn/test/*.test.ts'];
/** Suites of `pnpm long`. */
const LONG = '**/*.{slow,long}.test.ts';

const include = ['{packages,examples}/*/test/**/*.test.ts', '{bench,tools}/test/**/*.test.ts'];
const all = { lines: 95, branches: 95 };

export default defineConfig({
  // Workspace packages resolve to their TypeScript sources, so tests need no build.
  ssr: { resolve: { conditions: ['@ws/source', 'module', 'node', 'development|production'] } },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'pure',
          include: PURE,
          exclude: [...configDefaults.exclude, LONG, ...ALONE],
          isolate: false,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'sockets',
          include: [...include, '{tests,fuzz}/**/*.test.ts'],
          exclude: [...configDefaults.exclude, LONG, ...ALONE, ...PURE],
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
