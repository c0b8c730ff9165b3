import { describe, expect, it } from 'vitest';
import { memoryTable, speedTable } from '../../src/scenarios/deflate-report.ts';
import type { Readings } from '../../src/scenarios/deflate-speed.ts';
import type { MemoryResult } from '../../src/scenarios/idle-memory.ts';

function readings(library: 'ours' | 'ws', level: number, cpu: number[], wire: number): Readings {
  const each = (value: number): number[] => cpu.map(() => value);
  return {
    library,
    level,
    cpu,
    wire: each(wire),
    rate: each(1),
    loadBusy: each(0.2),
    compressed: 1,
  };
}

function memory(mode: MemoryResult['mode'], library: 'ours' | 'ws', kib: number): MemoryResult {
  const bytes = kib * 1024;
  const stages = { open: bytes, afterOne: bytes, afterMany: bytes };
  return { mode, library, agreed: '', ...stages, heap: stages };
}

describe('speedTable', () => {
  it('shows the median of the ratios of each round', () => {
    const cell = { size: 512, depth: 1, mode: 'shared', agreed: '' } as const;
    const ws = readings('ws', 6, [30, 40, 35], 200);
    const line = (ours: number[]): string =>
      speedTable([{ ...cell, subjects: [readings('ours', 1, ours, 220), ws] }]).split('\n')[2]!;
    expect(line([10, 10, 10])).toMatch(/ 3\.50 +3\.00-4\.00 +220 +200 +1\.10 /);
    expect(line([15, 15, 11])).toMatch(/ 2\.67 +2\.00-3\.18 /);
  });

  it('has a line for each pair of levels', () => {
    const subjects = [
      readings('ours', 1, [10], 1130),
      readings('ours', 6, [20], 1000),
      readings('ws', 6, [40], 1000),
      readings('ws', 1, [25], 1130),
    ];
    const result = { size: 4096, depth: 16, mode: 'takeover', agreed: '', subjects } as const;
    const [, , first, second, third] = speedTable([result]).split('\n');
    expect(first).toMatch(/ 1 : 6 .* 4\.00 .* 1\.13 /);
    expect(second).toMatch(/ 6 : 6 .* 2\.00 .* 1\.00 /);
    expect(third).toMatch(/ 1 : 1 .* 2\.50 +2\.50-2\.50 {2,}1130 /);
  });
});

describe('memoryTable', () => {
  it('shows the memory next to ws and beyond an uncompressed connection', () => {
    const text = memoryTable([
      memory('uncompressed', 'ours', 8),
      memory('uncompressed', 'ws', 6),
      memory('shared', 'ours', 10),
      memory('shared', 'ws', 250),
      // The median run counts.
      memory('shared', 'ws', 260),
      memory('shared', 'ws', 9),
    ]);
    expect(text.split('\n')[3]).toMatch(/^shared .* 25\.0 +2\.00 KiB$/);
  });
});
