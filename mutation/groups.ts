/** Files whose mutants are tried together, and the tests that may notice them. Paths from the root of the repository. */
export interface Group {
  readonly sources: readonly string[];
  /** Folders and files; a folder stands for every test in it. */
  readonly tests: readonly string[];
  /** Of those, the ones that measure memory: what is planted in a mutant costs some. */
  readonly without: readonly string[];
  /** How long a test may wait: long for tests that compute, short for those that wait for an answer. */
  readonly testTimeoutMs: number;
}

const codec = (...names: readonly string[]): string[] =>
  names.map((name) => `packages/codec/src/${name}.ts`);
const conn = (...names: readonly string[]): string[] =>
  names.map((name) => `packages/conn/src/${name}.ts`);

export const groups: Readonly<Record<string, Group>> = {
  codec: {
    sources: [
      ...codec('header', 'rules', 'close-code', 'close-payload'),
      ...codec('decoder', 'segments', 'ring', 'assembly'),
      ...codec('encoder', 'slab-writer', 'mask', 'utf8', 'utf8-text'),
      ...codec('handshake/scanner', 'handshake/token-list', 'handshake/extensions'),
      ...codec('handshake/deflate-offer', 'handshake/subprotocol', 'handshake/key'),
    ],
    tests: ['packages/codec/test'],
    without: ['packages/codec/test/allocation.test.ts'],
    testTimeoutMs: 20_000,
  },
  conn: {
    sources: [
      ...conn('closing', 'controls', 'pings', 'heartbeat', 'deadline', 'patience', 'timers'),
      ...conn('message-reader', 'reading', 'pending-read', 'inflow'),
      ...conn('outbox', 'message-writer', 'writing', 'line', 'data'),
    ],
    tests: ['packages/conn/test'],
    without: [],
    testTimeoutMs: 8000,
  },
};
