import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ContestResult } from '../../src/harness/runner.ts';
import { commitOf } from '../../src/report/commit.ts';
import { ratioTable } from '../../src/report/contest-tables.ts';
import { againTable } from '../../tools/again.ts';
import { currentSet, readSets } from '../../tools/documents.ts';
import { type Measure, measureDoubtful } from '../../tools/doubtful-rows.ts';
import { chosenScenarios, record } from '../../tools/record.ts';
import { PAGES } from '../../tools/sections.ts';

const TWO_MODES = '4 x 1 x 1 MiB: two modes, no result';

let root: string;
let printed: string;
/** The first row of the next results by scenario. Default: `a row`. */
let rows: Record<string, string>;
let measured: string[];

beforeEach(() => {
  [printed, rows, measured] = ['', {}, []];
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  root = mkdtempSync(join(tmpdir(), 'ws-record-'));
  for (const [path, sections] of Object.entries(PAGES)) {
    const places = Object.keys(sections).map(
      (name) => `<!-- bench: ${name} -->\n<!-- end of bench -->\n`,
    );
    put(path, `# A page\n\n${places.join('\n')}`);
  }
  put('bench/package.json', '{}');
  put('.gitignore', '.out\n');
  git('init', '-q');
  commit();
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(root, { recursive: true, force: true });
});

function put(path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

function git(...args: string[]): void {
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'commit.gpgsign=false'];
  execFileSync('git', [...who, ...args], { cwd: root });
}

function commit(): void {
  git('add', '-A');
  git('commit', '-qm', 'a');
}

const measure: Measure = (scenario, file) => {
  measured.push(scenario);
  const head = {
    scenario,
    command: `ws-bench ${scenario}`,
    date: '2026-01-02T03:04:05.000Z',
    machine: { cpu: 'A CPU', cores: 2, memory: 2 ** 33, system: 'linux 6.1 x64' },
    versions: { node: process.versions.node, ours: '0.1.0' },
    commit: commitOf(join(root, 'bench')),
  };
  const labels = [rows[scenario] ?? 'a row'];
  const table = { title: 'Echo', unit: 'times', labels, series: [{ name: 'ours', values: [1] }] };
  put(file, JSON.stringify({ head, tables: [table] }));
  return true;
};

/** The recorded files of this Node. */
function recorded(): string[] {
  const folder = join(root, 'bench/results', currentSet());
  return readdirSync(folder).filter((name) => name.endsWith('.json'));
}

describe('record', () => {
  it('records all scenarios, also after a commit of results and pages', async () => {
    expect(await record(root, chosenScenarios([]), measure)).toBe(0);
    expect(recorded()).toHaveLength(chosenScenarios([]).length);
    const before = readSets(root)[0]!.results.get('hub')!.head.commit;
    commit();
    measured = [];
    expect(await record(root, ['compare'], measure)).toBe(0);
    expect(measured).toEqual(['compare']);
    expect(readSets(root)[0]!.results.get('compare')!.head.commit).toBe(before);
  });

  it('records only named scenarios of a Node without results', async () => {
    expect(await record(root, chosenScenarios(['handshakes', 'compare']), measure)).toBe(0);
    expect(measured).toEqual(['compare', 'handshakes']);
    expect(recorded()).toEqual(['compare.json', 'handshakes.json']);
  });

  it('refuses results of two commits in one folder before it measures', async () => {
    await record(root, ['compare', 'hub'], measure);
    put('source.ts', 'changed');
    commit();
    measured = [];
    await expect(record(root, ['compare'], measure)).rejects.toThrow(
      /has results of \w+ on Node [\d.]+: hub;/,
    );
    expect(measured).toEqual([]);
    expect(await record(root, ['compare', 'hub'], measure)).toBe(0);
  });

  it('removes what no scenario records when it records all', async () => {
    measure('gone', `bench/results/${currentSet()}/gone.json`);
    commit();
    expect(await record(root, chosenScenarios([]), measure)).toBe(0);
    expect(recorded()).not.toContain('gone.json');
  });

  it('replaces nothing while a base has two modes, and then keeps the other results', async () => {
    rows = { compare: TWO_MODES };
    expect(await record(root, ['compare', 'hub'], measure)).toBe(1);
    expect(printed).toContain(`compare: ${TWO_MODES}\n`);
    expect(printed).toContain('The same command measures only what is missing.\n');
    expect(readSets(root)).toEqual([]);
    rmSync(join(root, '.out/recording', currentSet(), 'compare.json'));
    [rows, measured] = [{}, []];
    expect(await record(root, ['compare', 'hub'], measure)).toBe(0);
    expect(measured).toEqual(['compare']);
  });

  it('accepts two modes in tables without a chart', async () => {
    rows = { codec: TWO_MODES };
    expect(await record(root, ['codec'], measure)).toBe(0);
  });

  it('refuses a checkout with changes', async () => {
    put('bench/package.json', '{ }');
    await expect(record(root, ['compare'], measure)).rejects.toThrow('commit your changes first');
  });

  it('refuses a name that is not recorded', () => {
    expect(() => chosenScenarios(['proxy'])).toThrow("'proxy' is not recorded; expected compare, ");
  });
});

describe('measureDoubtful', () => {
  const FILE = '.out/result.json';
  const contest = (name: string, base: number) => ({
    name,
    masks: {},
    readings: { ours: { us: [[10], [10]] }, ws: { us: [[10], [base]] } },
  });
  const tables = (results: readonly ContestResult[]) => [
    ratioTable({ title: 'Echo', unit: 'times ws', results }, 'ws', 'us'),
  ];
  const scenario = { name: 'compare', tables };

  function result(contests: readonly ContestResult[], ...warnings: string[]): string {
    return JSON.stringify({ head: {}, contests, warnings, tables: tables(contests) });
  }

  it('puts the new reading of a row with two modes or scatter into the result', () => {
    const first = [contest('16 B', 10), contest('16 B beside idle', 20), contest('1 KiB', 10)];
    put(FILE, result(first, 'busy', '1 KiB: the readings differ'));
    const asked: string[] = [];
    measureDoubtful(root, scenario, FILE, (_, file, option, row) => {
      asked.push(`${option} ${row}`);
      put(file, result([contest('16 B beside idle', 11), contest('1 KiB', 12)], 'busy'));
      return true;
    });
    expect(asked).toEqual(['--only 16 B beside idle', '--only 1 KiB']);
    const {
      warnings,
      measuredAgain,
      contests,
      tables: after,
    } = JSON.parse(readFileSync(join(root, FILE), 'utf8'));
    expect(warnings).toEqual(['busy']);
    expect(measuredAgain).toEqual(['16 B beside idle', '1 KiB']);
    expect(contests.map((one: ReturnType<typeof contest>) => one.readings.ws.us[1])).toEqual([
      [10],
      [11],
      [12],
    ]);
    expect(after[0].labels).toEqual(['16 B', '16 B beside idle', '1 KiB']);
  });

  it('measures a row twice at most', () => {
    put(FILE, result([contest('16 B', 20)]));
    let count = 0;
    measureDoubtful(root, scenario, FILE, (_, file) => {
      count++;
      put(file, result([contest('16 B', 30)]));
      return true;
    });
    expect(count).toBe(2);
  });
});

describe('againTable', () => {
  const table = (...values: number[]) => ({
    title: 'Echo',
    unit: 'times ws',
    labels: ['a', 'b'],
    series: [
      { name: 'loop', values },
      { name: 'load busy, %', values: [90, 10] },
    ],
  });

  it('divides each figure by the recorded one', () => {
    const { table: again, isLevel } = againTable(table(2, 4), [table(2.1, 9), table(9, 3.8)]);
    expect(again.series).toEqual([{ name: 'loop', values: [1.05, 0.95] }]);
    expect(isLevel).toBe(true);
  });

  it.each([
    { says: 'differs by more than a tenth', second: table(9, 4.5) },
    { says: 'was not measured', second: undefined },
  ])('is not level where a figure $says', ({ second }) => {
    expect(againTable(table(2, 4), [table(2, 9), second]).isLevel).toBe(false);
  });
});
