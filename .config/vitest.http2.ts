import { join } from 'node:path';
import process from 'node:process';
import { defineConfig } from 'vitest/config';
import { ISOLATED_ATTACKS } from './isolated.ts';
import { sources } from './sources.ts';

const IS_SECURE = process.env['HTTP2_TLS'] === '1';
const SHARED = IS_SECURE
  ? 'tests/attacks/{many-frames,pings}.test.ts'
  : 'tests/attacks/{application-code,close-frames,frame-rules,limits,many-frames,pings,time,unattended}.test.ts';
const MEASURED = IS_SECURE ? ['tests/attacks/lengths.test.ts'] : ISOLATED_ATTACKS;

/**
 * `pnpm long http2`: the attacks on a connection again, whose bytes come from a stream of HTTP/2.
 *
 * Not here, because a stream differs by nature: attacks on requests and answers of HTTP/1.1, on
 * dials, on sockets that are half open, and on transports of the tests' own. `text` asserts the state
 * of connections within each chunk. Node reads the next DATA frame later while its session writes.
 *
 * With HTTP2_TLS=1, which `pnpm long http2` sets for its second run, the session runs over TLS, where bytes arrive some turns
 * after they are fed. The other attacks look at the connection at once, or take minutes.
 */
export default defineConfig({
  root: join(import.meta.dirname, '..'),
  ssr: sources,
  test: {
    projects: [
      {
        extends: true,
        // Setup takes seconds, and a worker does it once. A file measures code that earlier files have compiled.
        test: { name: 'shared', include: [SHARED], isolate: false },
      },
      { extends: true, test: { name: 'isolated', include: MEASURED } },
    ],
    setupFiles: ['tests/kit/setup.ts', 'tests/attacks/over-http2.ts'],
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', './tools/count-reporter.ts'],
  },
});
