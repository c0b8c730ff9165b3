import { readFileSync, rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runCommand } from './run-command.ts';

/** Long enough for any other input on a busy machine. */
const STUCK_MS = 1_000;

const endings = [
  ['a loop without end', 'endless-loop', 'stuck: no end after 1 s'],
  ['a promise that never settles', 'endless-promise', 'stuck: no end after 1 s'],
  ['objects without end', 'endless-objects', 'thread: failed with Error [ERR_WORKER_OUT'],
  ['buffers without end', 'endless-buffers', 'memory: grew by 192 MiB'],
  ['a thread with an empty event loop', 'endless-silence', 'thread: exited before its report'],
  ['a thread that calls process.exit', 'endless-exit', 'thread: exited before its report'],
] as const;

/** The exits and the memory must come before the time limit. */
const LONG_STUCK_MS = 60_000;

describe('the supervisor', () => {
  it.concurrent.each(endings)(
    'reports and replays %s',
    { timeout: 120_000 },
    async (_, target, message) => {
      const stuckMs = message.startsWith('stuck') ? STUCK_MS : LONG_STUCK_MS;
      const run = (...args: string[]) =>
        runCommand('test/endless/run.ts', [target, ...args], { STUCK_MS: String(stuckMs) });
      const { code, out } = await run('--seed', '1', '--minutes', '1');
      expect(code).toBe(1);
      expect(out).toContain(`${target}: found: ${message.split(':')[0]}\n${message}`);

      const file = out.match(/^replay: pnpm fuzz endless-\w+ --replay (.+)$/m)![1]!;
      const input = readFileSync(file);
      expect(out).toContain(`seed 1, ${input.length} bytes: ${input.toString('hex')}\n`);
      // Shorter inputs return at once: the file holds the input that failed, not an earlier one.
      expect(input.length).toBeGreaterThan(4);

      const again = await run('--replay', file);
      expect(again.code).toBe(1);
      expect(again.out).toContain(message);
      rmSync(file);
    },
  );
});
