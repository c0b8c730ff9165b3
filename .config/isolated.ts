/**
 * Tests of what a process creates once or allocates, or of what is left in a process, and tests that
 * load the modules again: each file gets its own.
 */
export const ISOLATED = [
  'fuzz/**/*.test.ts',
  'packages/codec/test/{allocation,pool-guard,frames/decoder,masking/*}.test.ts',
  'packages/conn/test/platform/portable-platform.test.ts',
  'packages/{codec,conn}/test/memory/**/*.test.ts',
  'packages/node-server/test/collected.test.ts',
  'tests/attacks/{lengths,pools}.test.ts',
  'tests/guard-rails/!(private-getters|source-characters).test.ts',
  'tests/pool-poison/**/*.test.ts',
];
