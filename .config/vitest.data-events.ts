import { join } from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { ISOLATED, ISOLATED_ATTACKS } from './isolated.ts';
import { sources } from './sources.ts';

/**
 * `pnpm long data-events`: the tests of sockets again, without the read buffer of the thread. So
 * they pass in both ways of reading.
 */
export default defineConfig({
  root: join(import.meta.dirname, '..'),
  ssr: sources,
  test: {
    include: [
      'packages/{node-io,node-server,node-client,proxy}/test/**/*.test.ts',
      'tests/{attacks,contracts,end-to-end,pairs}/**/*.test.ts',
    ],
    exclude: [
      ...configDefaults.exclude,
      '**/*.{slow,long}.test.ts',
      // No socket, or one that node:http2 reads.
      'packages/node-io/test/{deflate,http,http2}/**',
      'packages/node-io/test/{node-platform,zlib-deflate}.test.ts',
      'packages/{node-server,node-client}/test/http2/**',
      '**/test/peers/http2.test.ts',
      'tests/contracts/deflate-contract.test.ts',
      // They test the read buffer.
      'packages/{node-io,node-server}/test/{nested-read,read-buffer}.test.ts',
      ...ISOLATED,
      ...ISOLATED_ATTACKS,
    ],
    setupFiles: ['tests/kit/setup.ts', 'tests/kit/data-events.ts'],
    isolate: false,
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default', './tools/count-reporter.ts'],
  },
});
