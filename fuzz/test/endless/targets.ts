import type { Target } from '../../harness/target.ts';

// Inputs that only the supervisor can end.

/** Calls `fail` for inputs of five bytes and more. */
function endless(name: string, fail: () => void | Promise<void>): Target {
  return {
    name,
    description: 'never ends',
    covers: ['fuzz/test/endless/'],
    maxLength: 20,
    dictionary: [],
    separators: [],
    seeds: [],
    run: (input) => (input.length > 4 ? fail() : undefined),
  };
}

const kept: unknown[] = [];

export const targets: readonly Target[] = [
  endless('endless-loop', () => {
    for (;;);
  }),
  endless('endless-promise', () => new Promise(() => setInterval(() => {}, 1_000))),
  endless('endless-objects', () => {
    for (;;) kept.push(Array.from({ length: 10_000 }, () => kept));
  }),
  endless('endless-buffers', () => {
    for (;;) kept.push(new Uint8Array(1024 * 1024).fill(1));
  }),
  endless('endless-silence', () => new Promise(() => {})),
  endless('endless-exit', () => process.exit(0)),
];
