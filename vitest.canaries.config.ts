// `pnpm test:canaries`: the tests once more where released memory is poisoned, and looked at when it is lent again.
import { defineConfig, mergeConfig } from 'vitest/config';
import usual from './vitest.config.ts';

/** Tests for which this says nothing new, each with the reason. */
const LEFT_OUT: readonly (readonly [glob: string, reason: string])[] = [
  ['packages/codec/test/allocation.test.ts', 'measures memory, of which this mode takes more'],
  ['testkit/test/guard-rails/**', 'counts bytes, copies and writes, of which this mode makes more'],
  ['testkit/test/soak/**', 'measures memory, in processes of its own'],
  ['testkit/test/end-to-end/gibibyte.test.ts', 'runs in processes of its own, and measures memory'],
  ['testkit/test/hostile/survives.test.ts', 'is about measures that this mode does not take'],
  ['packages/node-server/test/collected.test.ts', 'looks at what is collected, by its memory'],
  [
    'packages/conformance/test/**',
    'black-box cases of minutes, of what the other tests do as well',
  ],
  ['testkit/test/chaos/**', 'a million messages in another process, of what others do as well'],
  ['testkit/test/{reverse-proxies/**,daemon.test.ts}', 'are about programs of others'],
  ['examples/**', 'programs in processes of their own'],
  ['bench/**', 'measures time, and has no pool of its own'],
  ['scripts/**', 'has no pool'],
  ['mutation/**', 'changes the code, in processes of its own'],
  [
    'fuzz/test/{planted,run,harness,endless}.test.ts',
    'threads and processes of their own, for minutes',
  ],
];

for (const [glob, reason] of LEFT_OUT) console.log(`left out: ${glob}: ${reason}`);

export default mergeConfig(
  usual,
  defineConfig({
    test: {
      setupFiles: ['testkit/src/canaries.ts'],
      exclude: ['**/node_modules/**', ...LEFT_OUT.map(([glob]) => glob)],
      // Each lease costs a pass over its memory, or two.
      testTimeout: 30_000,
    },
  }),
);
