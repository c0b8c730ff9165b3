import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { scopeOf } from '../published.ts';

const root = join(import.meta.dirname, '../..');
/** The version of pnpm that the workspace pins. */
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly packageManager: string;
};
const PNPM = ['-y', packageManager.replace(/\+.*/, '')];

let folder = '';

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: folder, encoding: 'utf8' });
}

function rename(
  args: readonly string[],
  cwd = folder,
): { readonly status: number | null; readonly said: string } {
  const script = join(root, 'tools/rename-scope.ts');
  const tsx = import.meta.resolve('tsx');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', tsx, script, ...args],
    { cwd, encoding: 'utf8' },
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
  ])('rejects %j and prints its usage', (args) => {
    const { status, said } = rename(args);
    expect(status).toBe(2);
    expect(said).toContain('usage: node --import tsx tools/rename-scope.ts @acme');
  });

  it('prints its usage with --help', () => {
    const { status, said } = rename(['--help']);
    expect(status).toBe(0);
    expect(said).toContain('usage: node --import tsx tools/rename-scope.ts @acme');
    expect(said).toContain('the channels of diagnostics');
  });

  it('rejects the current scope', () => {
    const scope = scopeOf(root);
    expect(rename([scope])).toEqual({ status: 2, said: `the scope is already ${scope}\n` });
  });

  it('leaves longer names and addresses unchanged', () => {
    const small = mkdtempSync(join(tmpdir(), 'small '));
    onTestFinished(() => rmSync(small, { recursive: true }));
    mkdirSync(join(small, 'tools'));
    writeFileSync(join(small, 'tools/scope.json'), '{ "scope": "@a.b" }');
    const file = join(small, 'longer.txt');
    writeFileSync(file, '@a.bc @a.b-c @a.b.example me@a.b @a-b; @a.b. (@a.b) x/@a.b/y @a.b:z');
    execFileSync('git', ['init', '-q'], { cwd: small });
    expect(rename(['@acme'], small)).toMatchObject({ status: 0 });
    expect(readFileSync(file, 'utf8')).toBe(
      '@a.bc @a.b-c @a.b.example me@a.b @a-b; @acme. (@acme) x/@acme/y @acme:z',
    );
  });

  it('renames every package, and the result installs, is formatted, type-checks and runs', {
    timeout: 300_000,
  }, () => {
    const scope = scopeOf(root);
    const address = 'https://git.example/acme/websocket';
    expect(rename(['@acme', address])).toMatchObject({ status: 0 });
    git('add', '--all');
    // No file contains the old scope, also not in channels of diagnostics and in expressions.
    const left = spawnSync('git', ['grep', '-nIF', scope], { cwd: folder, encoding: 'utf8' });
    expect(left.stdout).toBe('');
    expect(left.status, 'the status of git grep without a match').toBe(1);
    const read = (file: string): string => readFileSync(join(folder, file), 'utf8');
    expect(read('LICENSE')).toContain('the @acme authors');
    expect(read('docs/index.md')).toContain("name: '@acme'");
    expect(read('docs/.vitepress/config.ts')).toContain("title: '@acme packages'");
    expect(read('docs/monitoring.md')).toContain("subscribe('@acme:close'");
    expect(read('.github/ISSUE_TEMPLATE/config.yml')).toContain(
      `contact_links:\n  - name: A peer can harm others\n    url: ${address}/security/advisories/new\n`,
    );
    for (const name of ['bench', 'packages/conn']) {
      expect(read(`${name}/package.json`)).toContain(`"url": "git+${address}.git"`);
    }

    const run = (command: string, ...args: string[]): void =>
      void execFileSync(command, args, { cwd: folder, stdio: 'pipe' });
    run('npx', ...PNPM, 'install', '--frozen-lockfile', '--prefer-offline');
    run('npx', ...PNPM, 'run', 'format');
    run('npx', ...PNPM, 'check', 'format', 'types', 'direction');
    const tests = [
      'packages/conn/test/pair.test.ts',
      'packages/node-io/test/diagnostics.test.ts',
      'tests/end-to-end/readme.test.ts',
      'tools/test/name-faults.test.ts',
      'tools/test/pages.test.ts',
      'tools/test/release.test.ts',
    ];
    run('npx', 'vitest', 'run', ...tests);
  });
});
