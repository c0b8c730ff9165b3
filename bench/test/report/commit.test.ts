import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commitOf, sourcesChanged } from '../../src/report/commit.ts';

let root: string;
let inside: string;

function git(...args: string[]): string {
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.org', '-c', 'commit.gpgsign=false'];
  return execFileSync('git', [...who, ...args], { cwd: root, encoding: 'utf8' }).trim();
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ws-bench-'));
  inside = join(root, 'packages/conn');
  for (const folder of ['packages/conn', 'packages/conn/src', 'bench/results', 'docs', 'other']) {
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, folder, 'package.json'), '{}');
  }
  git('init', '--quiet');
  git('add', 'packages', 'bench', 'docs');
  git('commit', '--quiet', '-m', 'first');
});
afterEach(() => rmSync(root, { recursive: true }));

describe('commitOf', () => {
  it('returns the commit of a checkout', () => {
    expect(commitOf(inside)).toBe(git('rev-parse', '--short', 'HEAD'));
  });

  it('marks a change anywhere in the checkout', () => {
    writeFileSync(join(root, 'bench/package.json'), '{ }');
    git('add', 'bench/package.json');
    expect(commitOf(inside)).toBe(`${git('rev-parse', '--short', 'HEAD')}+changes`);
  });

  it.each(['bench/results', 'docs'])('ignores changes of %s', (folder) => {
    writeFileSync(join(root, folder, 'package.json'), '{ }');
    expect(commitOf(inside)).toBe(git('rev-parse', '--short', 'HEAD'));
  });

  it('returns undefined for an untracked package', () => {
    expect(commitOf(join(root, 'other'))).toBeUndefined();
    rmSync(join(root, '.git'), { recursive: true });
    expect(commitOf(inside)).toBeUndefined();
  });
});

describe('sourcesChanged', () => {
  it('compares the sources of packages with a commit', () => {
    const commit = git('rev-parse', '--short', 'HEAD');
    writeFileSync(join(root, 'packages/conn/package.json'), '{ }');
    expect(sourcesChanged(root, commit)).toBe(false);
    writeFileSync(join(root, 'packages/conn/src/package.json'), '{ }');
    expect(sourcesChanged(root, commit)).toBe(true);
    expect(sourcesChanged(root, `${commit}+changes`)).toBe(true);
    git('commit', '--quiet', '--all', '-m', 'second');
    expect(sourcesChanged(root, commit)).toBe(true);
    expect(sourcesChanged(root, 'HEAD')).toBe(false);
  });

  it('knows nothing of an unknown commit', () => {
    expect(sourcesChanged(root, '1a2b3c4')).toBe(false);
  });
});
