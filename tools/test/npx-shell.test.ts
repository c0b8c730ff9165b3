import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const shell = join(import.meta.dirname, '../npx-shell.mjs');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'npx-shell-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Runs the shell in a new folder as npx does. `pnpm` is the code of the pnpm that it finds. */
function run(pnpm: string, command: string): ChildProcess {
  const path = join(folder, 'pnpm');
  writeFileSync(path, `#!/usr/bin/env node\n${pnpm}\n`);
  chmodSync(path, 0o755);
  return spawn(shell, ['-c', command], {
    cwd: folder,
    env: { ...process.env, PATH: `${folder}${delimiter}${process.env['PATH']}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

const WAITING = `
  const timer = setInterval(() => {}, 1000);
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      console.log(signal);
      clearInterval(timer);
    });
  }
  console.log('up');`;

describe('npx-shell', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('ends pnpm with SIGINT on %s', async (signal) => {
    const child = run(WAITING, "'pnpm' start");
    child.stdout?.once('data', () => child.kill(signal));
    const [output] = await Promise.all([text(child.stdout!), once(child, 'exit')]);
    expect(output).toBe('up\nSIGINT\n');
    expect(child.exitCode).toBe(0);
  });

  it("returns the command's exit code", async () => {
    const child = run('process.exitCode = 7;', '"pnpm" start');
    await once(child, 'exit');
    expect(child.exitCode).toBe(7);
  });

  it('runs any other command with sh', async () => {
    const child = run('', 'A=1; echo "a is $A" && false || echo done');
    const [output] = await Promise.all([text(child.stdout!), once(child, 'exit')]);
    expect(output).toBe('a is 1\ndone\n');
    expect(child.exitCode).toBe(0);
  });
});
