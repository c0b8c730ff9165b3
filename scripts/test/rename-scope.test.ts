import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const PNPM = ['-y', 'pnpm@10.34.9'];

let folder = '';

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: folder, encoding: 'utf8' });
}

function rename(...args: string[]): { readonly status: number | null; readonly said: string } {
  const script = join(root, 'scripts/rename-scope.ts');
  const tsx = import.meta.resolve('tsx');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', tsx, script, ...args],
    { cwd: folder, encoding: 'utf8' },
  );
  return { status, said: stdout + stderr };
}

describe('rename-scope', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'renamed '));
    const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' });
    for (const file of tracked.split('\0')) {
      if (file !== '') cpSync(join(root, file), join(folder, file));
    }
    git('init', '-q');
  }, 60_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }), 60_000);

  it.each([
    [[]],
    [['acme']],
    [['@Acme']],
    [['@acme/x']],
    [['@']],
    [['@acme', '@other']],
    [['@acme', 'https://a.example/b', 'c']],
  ])('refuses %j and says how it is called', (args) => {
    const { status, said } = rename(...args);
    expect(status).toBe(2);
    expect(said).toContain('usage: pnpm rename-scope @acme');
  });

  it('refuses the scope that there is', () => {
    const { name } = JSON.parse(readFileSync(join(folder, 'packages/codec/package.json'), 'utf8'));
    const [scope] = String(name).split('/');
    expect(rename(scope!)).toEqual({ status: 2, said: `the scope is ${scope} already\n` });
  });

  it('renames every package, and what is left installs, is formatted, type-checks and runs', {
    timeout: 300_000,
  }, () => {
    const { name } = JSON.parse(readFileSync(join(folder, 'packages/codec/package.json'), 'utf8'));
    const [scope] = String(name).split('/');
    const address = 'https://git.example/acme/websocket';
    expect(rename('@acme', address)).toMatchObject({ status: 0 });
    git('add', '--all');
    const { status } = spawnSync('git', ['grep', '-qF', `${scope}/`], { cwd: folder });
    expect(status, 'git grep finds nothing').toBe(1);

    const run = (command: string, ...args: string[]): void =>
      void execFileSync(command, args, { cwd: folder, stdio: 'pipe' });
    run('npx', ...PNPM, 'install', '--frozen-lockfile', '--prefer-offline');
    run('npx', ...PNPM, 'run', 'format');
    run('npx', ...PNPM, 'run', 'check:format');
    run('npx', ...PNPM, 'run', 'check:types');
    run('npx', ...PNPM, 'run', 'check:release');
    run('npx', 'vitest', 'run', 'packages/conn/test/pair.test.ts');
  });
});
