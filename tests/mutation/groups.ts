import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Sources whose mutants are tried, and the tests that judge them. Paths start at the repository's root. */
export interface Group {
  readonly sources: readonly string[];
  /** The folder of the tests. */
  readonly tests: string;
  /** Tests that measure memory: the instrumentation of a mutant allocates. */
  readonly without: readonly string[];
  /** Timeout of one test in ms: long where tests compute, short where they wait for an answer. */
  readonly testTimeoutMs: number;
}

function files(src: string, names: Readonly<Record<string, string>>): string[] {
  return Object.entries(names).flatMap(([folder, list]) =>
    list.split(' ').map((name) => `packages/${src}/src/${folder}/${name}.ts`),
  );
}

export const groups: Readonly<Record<string, Group>> = {
  codec: {
    sources: files('codec', {
      frames: 'header rules decoder tail unmasker payload-target encoder',
      memory: 'segments ring slab-writer',
      masking: 'mask',
      text: 'utf8 utf8-text',
      close: 'close-code close-payload',
      handshake: 'scanner token-list extensions deflate-offer subprotocol key',
    }),
    tests: 'packages/codec/test',
    without: ['packages/codec/test/allocation.test.ts'],
    testTimeoutMs: 20_000,
  },
  conn: {
    sources: files('conn', {
      connection: 'close-handshake',
      control: 'control-frames pings keep-alive',
      time: 'deadline wait timers',
      read: 'decode-loop message-reader read-side pending-read piece-queue',
      write: 'control-queue send-queue unsent-frames message-writer write-side write-queue payload',
    }),
    tests: 'packages/conn/test',
    without: [],
    testTimeoutMs: 8000,
  },
};

/** @throws Error that names the sources of a group that do not exist. */
export function checkSources(root: string): void {
  const missing = Object.values(groups)
    .flatMap(({ sources, without }) => [...sources, ...without])
    .filter((path) => !existsSync(join(root, path)));
  if (missing.length > 0) {
    throw new Error(`no such file: ${missing.join(', ')}; update tests/mutation/groups.ts`);
  }
}

/** The test files of a group, sorted. */
export function testsOf(root: string, { tests, without }: Group): string[] {
  return readdirSync(join(root, tests), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => `${tests}/${file}`)
    .filter((path) => !without.includes(path))
    .toSorted();
}
