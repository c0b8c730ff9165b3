import { readFileSync, rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runCommand } from './run-command.ts';

// What the thread that runs an input cannot end by itself, the one that looks after it does: it saves the input of the
// moment, and says how to see that again.

const endings = [
  ['a loop without end', 'endless-loop', 3_000, 'stuck: it has run for 3 s'],
  ['a promise that nobody settles', 'endless-promise', 3_000, 'stuck: it has run for 3 s'],
  ['objects without end', 'endless-objects', 60_000, 'thread: it ended with Error [ERR_WORKER_OUT'],
  ['buffers without end', 'endless-buffers', 60_000, 'memory: it grew by 192 MiB'],
  [
    'a thread with nothing left to do',
    'endless-silence',
    60_000,
    'thread: it ended without a word',
  ],
  ['a thread that was told to exit', 'endless-exit', 60_000, 'thread: it ended without a word'],
] as const;

describe('what never ends', () => {
  it.each(endings)('is found: %s', { timeout: 120_000 }, async (_, target, stuckMs, says) => {
    const run = (...args: string[]) =>
      runCommand('test/endless/run.ts', [target, ...args], { STUCK_MS: String(stuckMs) });
    const { code, out } = await run('--seed', '1', '--minutes', '1');
    expect(code).toBe(1);
    expect(out).toContain(`${target}: found: ${says.split(':')[0]}\n${says}`);

    const file = out.match(/^again: pnpm fuzz endless-\w+ --replay (.+)$/m)![1]!;
    const input = readFileSync(file);
    expect(out).toContain(`seed 1, ${input.length} bytes: ${input.toString('hex')}\n`);
    // The first four bytes do nothing: it is the input of the moment, and not one before it.
    expect(input.length).toBeGreaterThan(4);

    const again = await run('--replay', file);
    expect(again.code).toBe(1);
    expect(again.out).toContain(says);
    rmSync(file);
  });
});
