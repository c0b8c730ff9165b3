// The scripts beside the command, as pnpm starts them.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** Where nothing can be built and no git is found: a script that began its work would say so. */
function run(
  script: string,
  ...args: string[]
): { status: number | null; out: string; err: string } {
  const empty = mkdtempSync(join(tmpdir(), 'ws-bench-'));
  try {
    const file = join(root, 'bench', `${script}.ts`);
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', file, ...args],
      { cwd: root, encoding: 'utf8', env: { PATH: empty, TMPDIR: empty } },
    );
    for (const name of readdirSync(empty)) expect(name).toMatch(/^tsx/);
    return { status, out: stdout, err: stderr };
  } finally {
    rmSync(empty, { recursive: true });
  }
}

describe('pnpm bench:record, bench:commits and bench:charts', { timeout: 60_000 }, () => {
  it.each(['record', 'commits', 'charts'])(
    'bench:%s tells what it is for, and does nothing',
    (name) => {
      for (const args of [['--help'], ['--quick', '--help']]) {
        const { status, out, err } = run(name, ...args);
        expect([status, err]).toEqual([0, '']);
        expect(out).toContain(`usage: pnpm bench:${name}`);
        expect(out).not.toMatch(/^(==|wrote|removed|round)/m);
      }
    },
  );

  it.each([
    ['record', ['toast'], 'cannot record toast'],
    ['record', ['--only', 'x'], 'of which scenario'],
    ['commits', ['--fast'], "Unknown option '--fast'"],
    ['commits', ['HEAD', 'HEAD~2'], 'unexpected: HEAD~2'],
    ['charts', ['--chekc'], "Unknown option '--chekc'"],
    ['charts', ['now'], 'now'],
  ])('bench:%s refuses %j', (name, args, said) => {
    const { status, out, err } = run(name, ...args);
    expect([status, out]).toEqual([2, '']);
    expect(err).toContain(said);
    expect(err).not.toContain('    at ');
  });

  it('bench:record says that nothing could be built, and records nothing', () => {
    const { status, out, err } = run('record', 'codec');
    expect([status, out]).toEqual([1, '']);
    expect(err).toContain('could not be built');
  });
});
