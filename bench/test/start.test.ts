// `pnpm bench` in a small workspace, with a build that writes a file.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** Stands for pnpm: "builds" the packages of its filters. */
const PNPM = `
import { mkdirSync, writeFileSync } from 'node:fs';
const names = process.argv.filter((_, i) => process.argv[i - 1] === '--filter');
for (const name of names) {
  const folder = name === '@ws/bench' ? 'bench' : name.replace('@ws/', 'packages/');
  mkdirSync(folder + '/dist', { recursive: true });
  writeFileSync(folder + '/dist/cli.js', 'console.log("runs", ...process.argv.slice(2));');
}
console.log('built');
process.exit(process.env.BROKEN === undefined ? 0 : 1);
`;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ws-bench-'));
  for (const folder of ['bench/src', 'packages/conn/src', 'packages/codec/src', '.config']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  write('bench', '@ws/conn');
  write('packages/conn', '@ws/codec');
  write('packages/codec');
  writeFileSync(join(root, 'pnpm.mjs'), PNPM);
  for (const file of ['packages/codec/src/index.ts', '.config/tsup.ts']) {
    writeFileSync(join(root, file), '');
  }
  cpSync(join(import.meta.dirname, '../start.mjs'), join(root, 'bench/start.mjs'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(folder: string, dependency?: string): void {
  const name = `@ws/${folder.split('/').at(-1)}`;
  const dependencies = dependency === undefined ? {} : { [dependency]: 'workspace:^', ws: '8.0.0' };
  writeFileSync(join(root, folder, 'package.json'), JSON.stringify({ name, dependencies }));
}

function start(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'bench/start.mjs'), ...args],
    { encoding: 'utf8', env: { ...process.env, npm_execpath: join(root, 'pnpm.mjs') } },
  );
  return { code: status, out: stdout, err: stderr };
}

/** Gives a file or a folder a time after that of every build. */
function touch(path: string): void {
  const later = new Date(Date.now() + 10_000);
  utimesSync(join(root, path), later, later);
}

describe('pnpm bench', () => {
  it('says what it builds on stderr, and builds nothing when that is up to date', () => {
    const built =
      'building @ws/bench, @ws/conn, @ws/codec: the sources are newer than the build\nbuilt\n';
    expect(start('load', '--help')).toEqual({ code: 0, out: 'runs load --help\n', err: built });
    expect(start('load')).toEqual({ code: 0, out: 'runs load\n', err: '' });
  });

  it.each([
    ['a changed file', 'packages/codec/src/index.ts', '@ws/codec'],
    ['a removed file', 'packages/conn/src', '@ws/conn'],
    ['a changed package.json', 'bench/package.json', '@ws/bench'],
    ['a changed build recipe', '.config/tsup.ts', '@ws/bench, @ws/conn, @ws/codec'],
  ])('builds the package of %s', (_, path, names) => {
    start();
    touch(path);
    expect(start().err).toContain(`building ${names}: `);
  });

  it('fails when the build fails', () => {
    process.env['BROKEN'] = 'yes';
    try {
      expect(start()).toMatchObject({ code: 1, out: '' });
    } finally {
      delete process.env['BROKEN'];
    }
  });
});
