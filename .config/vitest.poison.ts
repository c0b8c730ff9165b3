import { join } from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { ISOLATED, ISOLATED_ATTACKS } from './isolated.ts';
import { sources } from './sources.ts';

const EXCLUDED = [
  ...configDefaults.exclude,
  '**/*.long.test.ts',
  'packages/**/*.slow.test.ts',
  'tests/compression/browser.slow.test.ts',
  'tests/end-to-end/*.slow.test.ts',
  'fuzz/test/**',
  'packages/codec/test/allocation.test.ts',
  'packages/node-server/test/collected.test.ts',
  'tests/attacks/survives.test.ts',
  'tests/guard-rails/**',
];

const all = { lines: 95, branches: 95 };

/**
 * `pnpm long poison`: tests run again with poisoned pools. Released memory is overwritten and checked when it is leased
 * again. Tests that measure memory are left out, since poison changes it, and most tests that start other programs.
 * It also measures which code of codec, conn, deflate and reconnect they run.
 */
export default defineConfig({
  root: join(import.meta.dirname, '..'),
  ssr: sources,
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'shared',
          include: [
            'packages/{codec,deflate,conn,reconnect,node-io,node-server,node-client}/test/**/*.test.ts',
            'tests/{attacks,compression,contracts,end-to-end,pairs}/**/*.test.ts',
          ],
          exclude: [...EXCLUDED, ...ISOLATED, ...ISOLATED_ATTACKS],
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'isolated',
          include: [...ISOLATED, ...ISOLATED_ATTACKS],
          exclude: EXCLUDED,
        },
      },
    ],
    setupFiles: ['tests/kit/setup.ts', 'tests/pool-poison/setup.ts'],
    maxWorkers: 2,
    // Each lease costs one or two passes over its memory.
    testTimeout: 120_000,
    coverage: {
      provider: 'v8',
      include: ['packages/{codec,conn,deflate,reconnect}/src/**/*.ts'],
      exclude: ['**/*.d.ts'],
      reporter: ['text', 'lcovonly'],
      reportsDirectory: '.out/coverage',
      thresholds: {
        'packages/codec/src/**': all,
        'packages/conn/src/**': all,
        'packages/deflate/src/**': all,
        'packages/reconnect/src/**': all,
      },
    },
  },
});
