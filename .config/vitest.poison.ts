import { join } from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { sources } from './sources.ts';

/**
 * `pnpm long poison`: tests run again with poisoned pools. Released memory is overwritten and checked when it is leased
 * again. Tests that measure memory or start other programs are left out: poison changes the first and not the second.
 */
export default defineConfig({
  root: join(import.meta.dirname, '..'),
  ssr: sources,
  test: {
    include: [
      'packages/{codec,conn,node-io,node-server,node-client}/test/**/*.test.ts',
      'tests/{attacks,compression,contracts,end-to-end,pairs,pool-poison}/**/*.test.ts',
      'fuzz/laws/**/*.test.ts',
    ],
    exclude: [
      ...configDefaults.exclude,
      '**/*.long.test.ts',
      'tests/end-to-end/*.slow.test.ts',
      'packages/codec/test/allocation.test.ts',
      'packages/node-server/test/collected.test.ts',
      'tests/attacks/survives.test.ts',
    ],
    setupFiles: ['tests/pool-poison/setup.ts'],
    maxWorkers: 2,
    // Each lease costs one or two passes over its memory.
    testTimeout: 60_000,
  },
});
