// A signal reaches a whole process, so each test starts one.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

const module = JSON.stringify(new URL('../run.ts', import.meta.url).href);

/** Whether a process runs. One that has ended may wait for its parent. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Two tasks. The first has a child that keeps its output open, as the native `tsc` does. */
function script(file: string, lanes: number): string {
  const [log, loop] = [JSON.stringify(file), JSON.stringify('setTimeout(() => {}, 600_000)')];
  const first = `
    const child = require('child_process').spawn(process.execPath, ['-e', ${loop}], { stdio: 'inherit' });
    require('fs').appendFileSync(${log}, String(child.pid));
    setInterval(() => {}, 1000);`;
  const next = `require('fs').appendFileSync(${log}, 'next ')`;
  return `
    import { runTasks } from ${module};
    const task = (text) => ({ what: '', commands: [[process.execPath, '-e', text]] });
    const first = task(${JSON.stringify(first)});
    const next = { ...task(${JSON.stringify(next)}), after: 'first' };
    await runTasks({ first, next }, ['first', 'next'], ${lanes});`;
}

describe('runTasks', () => {
  it.each([
    ['SIGINT', 1],
    ['SIGINT', 2],
    ['SIGTERM', 2],
  ] as const)(
    'starts no more tasks after %s with %i lanes, and ends by it with all that runs',
    async (signal, lanes) => {
      const folder = mkdtempSync(join(tmpdir(), 'run '));
      const file = join(folder, 'log');
      const args = ['--import', import.meta.resolve('tsx'), '--input-type=module', '--eval'];
      const child = spawn(process.execPath, [...args, script(file, lanes)], { stdio: 'ignore' });
      const pid = await vi.waitFor(() => readFileSync(file, 'utf8'), 20_000);
      onTestFinished(() => {
        if (isRunning(Number(pid))) process.kill(Number(pid), 'SIGKILL');
        rmSync(folder, { recursive: true });
      });
      child.kill(signal);
      expect(await once(child, 'exit')).toEqual([null, signal]);
      expect(readFileSync(file, 'utf8')).toBe(pid);
      await vi.waitFor(() => expect(isRunning(Number(pid))).toBe(false), 20_000);
    },
  );
});

describe('pnpm check, pnpm long', () => {
  const run = (line: string) =>
    spawnSync('bash', ['-c', `node --import tsx tools/${line}; echo \${PIPESTATUS[0]}`], {
      cwd: join(import.meta.dirname, '../..'),
      encoding: 'utf8',
    });

  it.each(['check.ts --help', 'long.ts --help'])('%s may lose its reader', (line) => {
    const { stdout, stderr } = run(`${line} | true`);
    expect([stdout, stderr]).toEqual(['0\n', '']);
  });

  it.each(['check.ts toString', 'long.ts toString', 'long.ts nonsense'])('rejects %s', (line) => {
    const { stdout, stderr } = run(line);
    expect(stdout).toBe('2\n');
    expect(stderr).toMatch(/^unknown: \w+; there are .*\n$/);
  });
});
