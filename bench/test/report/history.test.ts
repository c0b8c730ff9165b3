import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Head } from '../../src/report/head.ts';
import { compareWithHistory } from '../../src/report/history.ts';
import { type Table, textOf } from '../../src/report/table.ts';

const HEAD: Head = {
  scenario: 'compare',
  command: 'ws-bench compare --quick --history',
  date: '2026-01-02T03:04:05.000Z',
  machine: { cpu: 'A', cores: 2, memory: 2 ** 33, system: 'linux' },
  versions: { node: '20.20.0' },
};

function echo(ours: number): Table {
  return {
    title: 'Echo',
    unit: 'times those of ws',
    labels: ['16 B'],
    series: [
      { name: 'receive', values: [{ median: ours, least: ours, most: ours }] },
      { name: 'ws', values: [1] },
    ],
  };
}

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ws-bench-'));
  file = join(folder, 'ws-bench/history.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('compareWithHistory', () => {
  it('compares our figures with the median of the earlier ones, and keeps them', () => {
    expect(compareWithHistory(HEAD, echo(7), file)).toBeUndefined();
    compareWithHistory(
      { ...HEAD, command: `${HEAD.command} --json a.json --threshold 'p95 < 7'` },
      echo(9),
      file,
    );
    const text = textOf(compareWithHistory(HEAD, echo(10), file)!);
    expect(text).toContain('median of 2 earlier results of this machine, from 2026-01-02 on');
    expect(text).toMatch(/^16 B: receive +10\.0 +8\.00 \(7\.00-9\.00\) +25\.0$/m);
    expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(4);
  });

  it.each<[string, Partial<Head>]>([
    ['command', { command: 'ws-bench compare --history' }],
    ['machine', { machine: { ...HEAD.machine, cpu: 'B' } }],
    ['Node', { versions: { node: '26.0.0' } }],
  ])('ignores results of another %s', (_, other) => {
    compareWithHistory({ ...HEAD, ...other }, echo(7), file);
    expect(compareWithHistory(HEAD, echo(10), file)).toBeUndefined();
  });
});
