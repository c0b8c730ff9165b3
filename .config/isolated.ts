/**
 * Each of these files runs in its own process: it measures allocations, checks what a process
 * creates once or leaves behind, counts its timers, or loads modules again.
 */
export const ISOLATED = [
  'fuzz/{laws/{conversation,two-conns},test/two-connections}.test.ts',
  'packages/codec/test/{allocation,pool-guard,frames/decoder,masking/{mask,move-unmasked,simd*,words-32},messages/lease}.test.ts',
  'packages/browser/test/{alive,alive-setting,closing,dial,reading,unread,writing}.test.ts',
  'packages/fetch/test/turns.test.ts',
  'packages/node-client/test/addresses.test.ts',
  'packages/conn/test/platform/portable-platform.test.ts',
  'packages/codec/test/memory/{message-buffers,move,pools,released-twice,slab-pool}.test.ts',
  'packages/conn/test/{connection/ends,memory/**/*}.test.ts',
  'packages/deflate/test/pool-debug.test.ts',
  'packages/conn/test/read/partial-message-at-end.test.ts',
  'packages/reconnect/test/{left-loops,poison,restart}.test.ts',
  'packages/hub/test/{cluster/unawaited-close,leftovers,lost-waits,old-node/rolling,serve-rooms/misfits,uncounted}.test.ts',
  'packages/rpc/test/{cancel-work,flood-memory,idle}.test.ts',
  'packages/node-io/test/async-contexts.test.ts',
  'packages/node-server/test/collected.test.ts',
  'tests/contracts/two-copies.test.ts',
  'tests/guard-rails/!(one-write*|private-getters|source-characters).test.ts',
  'tests/pairs/{model,pairs}.test.ts',
  'tests/pool-poison/**/*.test.ts',
];

/** The attacks that measure memory. Each of these files runs in its own process too. */
export const ISOLATED_ATTACKS = ['tests/attacks/{lengths,pools}.test.ts'];

/** The same for `pnpm long slow`. The first three replace modules. */
export const ISOLATED_SLOW = [
  'packages/hub/test/cluster/suites.slow.test.ts',
  'packages/hub/test/{nats,redis}/silence.slow.test.ts',
  'packages/codec/test/promise.slow.test.ts',
  'tests/guard-rails/*.slow.test.ts',
  'fuzz/test/{corpus,planted}.slow.test.ts',
];
