import type { Target } from '../../harness/target.ts';

// What only somebody beside the thread can end.

/** Runs `what` with inputs of five bytes and more. */
function endless(name: string, what: () => void | Promise<void>): Target {
  return {
    name,
    says: 'never ends',
    covers: ['fuzz/test/endless/'],
    maxLength: 20,
    dictionary: [],
    separators: [],
    seeds: [],
    run: (input) => (input.length > 4 ? what() : undefined),
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
