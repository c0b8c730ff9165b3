import { join } from 'node:path';
import process from 'node:process';
import { configDefaults, defineConfig } from 'vitest/config';
import { ISOLATED, ISOLATED_ATTACKS, ISOLATED_SLOW } from './isolated.ts';
import { sources, transformed } from './sources.ts';

const SETUP = 'tests/kit/setup.ts';
const POISON = 'tests/pool-poison/**';

/**
 * Left out of the poisoned run: tests that measure memory, tests of messages that are lent and not copied, which poisoned
 * pools copy, and most that start other programs.
 */
const NOT_POISONED = [
  ...configDefaults.exclude,
  '**/*.long.test.ts',
  'packages/**/*.slow.test.ts',
  'tests/compression/browser.slow.test.ts',
  'tests/end-to-end/*.slow.test.ts',
  'fuzz/test/**',
  'packages/codec/test/allocation.test.ts',
  'packages/conn/test/{connection/stuck-handlers,writing/borrowed-message}.test.ts',
  'packages/node-server/test/collected.test.ts',
  'tests/attacks/survives.test.ts',
  'tests/guard-rails/**',
];

/** Over TLS, bytes arrive some turns after they are fed. The other attacks look at the connection at once. */
const IS_SECURE = process.env['HTTP2_TLS'] === '1';
const OVER_HTTP2 = IS_SECURE
  ? 'tests/attacks/{many-frames,pings}.test.ts'
  : 'tests/attacks/{application-code,close-frames,frame-rules,limits,many-frames,pings,time,unattended}.test.ts';
const MEASURED_OVER_HTTP2 = IS_SECURE ? ['tests/attacks/lengths.test.ts'] : ISOLATED_ATTACKS;

const covered = { lines: 95, branches: 95 };

/**
 * The suites of `pnpm long`, each a project or two: `--project '*slow'`. A project without
 * `isolate: false` runs each file in its own process. vitest runs it first, by its name: its files compute.
 */
export default defineConfig({
  root: join(import.meta.dirname, '..'),
  ssr: sources,
  test: {
    experimental: transformed,
    projects: [
      // Tests that start programs and browsers, or compute for long. Many of them wait for a process.
      {
        extends: true,
        test: {
          name: 'slow',
          include: ['**/*.slow.test.ts'],
          exclude: [...configDefaults.exclude, POISON, ...ISOLATED_SLOW],
          setupFiles: [SETUP],
          isolate: false,
          maxWorkers: 4,
        },
      },
      {
        extends: true,
        test: {
          name: 'isolated-slow',
          include: ISOLATED_SLOW,
          setupFiles: [SETUP],
          maxWorkers: 4,
        },
      },
      // Tests that take minutes, one file at a time.
      {
        extends: true,
        test: {
          name: 'minutes',
          include: ['**/*.long.test.ts'],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
      // The tests of sockets again, without the read buffer of the thread: they pass in both ways of reading.
      {
        extends: true,
        test: {
          name: 'data-events',
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
          setupFiles: [SETUP, 'tests/kit/data-events.ts'],
          isolate: false,
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
        },
      },
      // The attacks on a connection again, whose bytes come from a stream of HTTP/2. Not here, because a stream differs by
      // nature: attacks on requests and answers of HTTP/1.1, on dials, on sockets that are half open, and on transports of
      // the tests' own. `text` asserts the state of connections within each chunk. Node reads the next DATA frame later
      // while its session writes.
      {
        extends: true,
        test: {
          name: 'http2',
          include: [OVER_HTTP2],
          setupFiles: [SETUP, 'tests/attacks/over-http2.ts'],
          // A file measures code that earlier files have compiled.
          isolate: false,
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: 'isolated-http2',
          include: MEASURED_OVER_HTTP2,
          setupFiles: [SETUP, 'tests/attacks/over-http2.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
        },
      },
      // Tests again with poisoned pools: released memory is overwritten, and checked when it is leased again.
      {
        extends: true,
        test: {
          name: 'poison',
          include: [
            'packages/{codec,deflate,conn,reconnect,node-io,node-server,node-client}/test/**/*.test.ts',
            'tests/{attacks,compression,contracts,end-to-end,pairs}/**/*.test.ts',
          ],
          exclude: [...NOT_POISONED, ...ISOLATED, ...ISOLATED_ATTACKS],
          setupFiles: [SETUP, 'tests/pool-poison/setup.ts'],
          isolate: false,
          maxWorkers: 2,
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        test: {
          name: 'isolated-poison',
          include: [...ISOLATED, ...ISOLATED_ATTACKS],
          exclude: NOT_POISONED,
          setupFiles: [SETUP, 'tests/pool-poison/setup.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 4 },
        },
      },
    ],
    // Programs and browsers start slowly on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    reporters: ['default', './tools/count-reporter.ts'],
    // The code of codec and conn that the poisoned tests run.
    coverage: {
      provider: 'v8',
      include: ['packages/{codec,conn,deflate,reconnect}/src/**/*.ts'],
      exclude: ['**/*.d.ts'],
      reporter: ['text', 'lcovonly'],
      reportsDirectory: '.out/coverage',
      thresholds: {
        'packages/codec/src/**': covered,
        'packages/conn/src/**': covered,
        'packages/deflate/src/**': covered,
        'packages/reconnect/src/**': covered,
      },
    },
  },
});
