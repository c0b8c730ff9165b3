import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { currentSet } from '../../src/recorded/documents.ts';
import { record } from '../../src/recorded/record.ts';
import { PAGES } from '../../src/recorded/sections.ts';

const SCENARIOS = [
  { name: 'compare', minutes: 2 },
  { name: 'memory', minutes: 1 },
];

let root: string;

function put(path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

function git(...args: string[]): string {
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.org', '-c', 'commit.gpgsign=false'];
  return execFileSync('git', [...who, ...args], { cwd: root, encoding: 'utf8' }).trim();
}

beforeEach(() => {
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  root = mkdtempSync(join(tmpdir(), 'ws-record-'));
  for (const [path, sections] of Object.entries(PAGES)) {
    const places = Object.keys(sections).map(
      (name) => `<!-- bench: ${name} -->\n<!-- end of bench -->`,
    );
    put(path, places.join('\n'));
  }
  put('bench/package.json', '{}');
  put(`bench/results/${currentSet()}/removed.json`, resultOf('removed', '20.0.0', '1a2b3c4'));
  git('init', '--quiet');
  git('add', '.');
  git('commit', '--quiet', '-m', 'first');
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(root, { recursive: true });
});

function resultOf(scenario: string, node: string, commit: string): string {
  const machine = { cpu: 'A CPU', cores: 2, memory: 2 ** 33, system: 'linux' };
  const head = { scenario, command: scenario, date: '', machine, versions: { node }, commit };
  const table = { title: `Table of ${scenario}`, unit: 'times', labels: [], series: [] };
  return JSON.stringify({ head, tables: [table] });
}

/** Records documents with this commit and version. Returns the exit code and what was measured. */
async function run(
  failing: readonly string[] = [],
  node = process.versions.node,
  commit = git('rev-parse', '--short', 'HEAD'),
): Promise<[code: number, measured: string[]]> {
  const measured: string[] = [];
  const code = await record(root, SCENARIOS, (name, file) => {
    measured.push(name);
    if (failing.includes(name)) return false;
    put(file, resultOf(name, node, commit));
    return true;
  });
  return [code, measured];
}

const recorded = (name: string): string => join(root, `bench/results/${currentSet()}/${name}.json`);

describe('record', () => {
  it('replaces the results of this Node and writes the pages', async () => {
    expect(await run()).toEqual([0, ['compare', 'memory']]);
    expect(existsSync(recorded('memory'))).toBe(true);
    expect(existsSync(recorded('removed'))).toBe(false);
    expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain('Table of compare');
  });

  it('records another Node after it, on the same commit', async () => {
    await run();
    expect(await run()).toEqual([0, ['compare', 'memory']]);
  });

  it('measures the others after a failure, and only what is missing in the next run', async () => {
    expect(await run(['compare'])).toEqual([1, ['compare', 'memory']]);
    expect(existsSync(recorded('removed'))).toBe(true);
    expect(await run()).toEqual([0, ['compare']]);
    expect(existsSync(recorded('memory'))).toBe(true);
  });

  it('measures again what another commit or another Node has measured', async () => {
    await run(['memory'], '20.0.0');
    expect(await run(['memory'])).toEqual([1, ['compare', 'memory']]);
    git('commit', '--quiet', '--allow-empty', '-m', 'second');
    expect(await run()).toEqual([0, ['compare', 'memory']]);
  });

  it('replaces nothing by a result of a tree that changed meanwhile', async () => {
    expect(await run([], process.versions.node, '1a2b3c4+changes')).toEqual([
      1,
      ['compare', 'memory'],
    ]);
    expect(existsSync(recorded('removed'))).toBe(true);
  });

  it('measures nothing in a tree with changes, or for pages without their markers', async () => {
    put('bench/package.json', '{ }');
    await expect(run()).rejects.toThrow('commit your changes first');
    git('commit', '--quiet', '--all', '-m', 'second');
    put('README.md', '');
    await expect(run()).rejects.toThrow("README.md: section 'echo' has 0 places");
    expect(existsSync(join(root, '.out'))).toBe(false);
  });
});
