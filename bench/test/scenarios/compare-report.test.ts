import { describe, expect, it } from 'vitest';
import type { ContenderName } from '../../src/rivals/contenders.ts';
import { broadcastTable } from '../../src/scenarios/broadcast-report.ts';
import { CELLS, growths } from '../../src/scenarios/compare-cells.ts';
import type { Readings } from '../../src/scenarios/compare-echo.ts';
import {
  type CellResult,
  cellLines,
  clientLine,
  contenderChart,
  contenderTable,
  growthTable,
  heapTable,
  ratioTable,
} from '../../src/scenarios/compare-report.ts';
import { memoryChart, memoryTable } from '../../src/scenarios/memory-report.ts';
import { streamTable } from '../../src/scenarios/stream.ts';

function readings(contender: ContenderName, ...cpu: number[]): Readings {
  return { name: '', contender, cpu, rate: [1], loadBusy: [0.25, 0.5] };
}

/** 64 x 16 x 16 B: `receive` is 8, 7 and 10 times as fast as ws. */
const small: CellResult = {
  cell: CELLS[1]!,
  readings: [
    readings('receive', 1, 2, 1),
    readings('loop', 2, 2, 2),
    readings('ws', 8, 14, 10),
    readings('raw', 0.5, 1, 0.6),
  ],
};

describe('ratioTable', () => {
  it('shows the median of the ratios of each round', () => {
    const [, , receive, loop] = ratioTable(cellLines([small])).split('\n');
    expect(receive).toMatch(
      /^64 x 16 x 16 B, receive +1\.00 +8\.00 +7\.00-10\.0 +0\.50 +0\.50-0\.60$/,
    );
    expect(loop).toMatch(/^64 x 16 x 16 B, loop +2\.00 +5\.00 .* 0\.30 .*$/);
  });

  it('has a line for the client without a ratio to TCP', () => {
    const line = clientLine([
      { name: 'ours', cpu: [2, 2] },
      { name: 'ws', cpu: [10, 10] },
      { name: 'ws+bufferutil', cpu: [8, 8] },
    ]);
    expect(ratioTable([line]).split('\n')[2]).toMatch(/ 2\.00 +5\.00 +5\.00-5\.00$/);
  });
});

describe('contenderTable', () => {
  it('shows missing contenders and the CPU share of the load', () => {
    expect(contenderTable([small]).split('\n')[2]).toMatch(
      /^64 x 16 x 16 B +8\.00 +5\.00 +not installed +1\.00 +not installed +16\.0 +not installed +not installed +50 %$/,
    );
  });
});

describe('contenderChart', () => {
  it('has bars for the measured contenders', () => {
    const chart = contenderChart([small]);
    if (chart.kind !== 'bars') throw new Error(chart.kind);
    expect(chart.labels).toEqual(['64 x 16 x 16 B']);
    expect(chart.series.map(({ name }) => name)).toEqual(['receive', 'loop', 'ws', 'raw']);
    expect(chart.series[0]!.values).toEqual([{ median: 8, least: 7, most: 10 }]);
  });
});

describe('heapTable', () => {
  it('subtracts the garbage of a TCP echo in the same round, and shows the spread', () => {
    const text = heapTable([
      { name: 'a', bytes: { receive: [100, 90, 120], ws: [500], raw: [80, 85, 90] } },
      { name: 'b', bytes: { receive: [101], ws: [500], raw: [85] } },
    ]);
    const [, , first, second] = text.split('\n');
    expect(first).toMatch(/^a +100 +500 +85\.0 +20\.0 +5\.00-30\.0$/);
    expect(second).toMatch(/ 16\.0 +16\.0-16\.0$/);
  });
});

describe('growthTable', () => {
  it('compares the cost of a unit', () => {
    const [connections, size, fragments] = growths(10_000) as [
      ReturnType<typeof growths>[number],
      ReturnType<typeof growths>[number],
      ReturnType<typeof growths>[number],
    ];
    const line = (growth: typeof size, before: number, after: number): string =>
      growthTable([
        {
          growth,
          contender: 'receive',
          small: readings('receive', before),
          large: readings('receive', after),
        },
      ]).split('\n')[2]!;
    expect(line(connections, 10, 11)).toMatch(/10000 connections.* 1\.10 .* 50 %$/);
    expect(line(size, 100, 1600)).toMatch(/ 1\.00 +1\.00-1\.00 +50 %$/);
    expect(line(size, 100, 2400)).toMatch(/ 1\.50 +1\.50-1\.50 /);
    expect(line(fragments, 10, 1000)).toMatch(/fragment.* 1\.00 +1\.00-1\.00 /);
  });
});

describe('broadcastTable', () => {
  it('compares one message in a turn and many', () => {
    const text = broadcastTable([
      { name: 'ours', perTurn: 1, cpu: [10, 10] },
      { name: 'ws', perTurn: 1, cpu: [9, 9] },
      { name: 'ours', perTurn: 16, cpu: [1, 1] },
      { name: 'ws', perTurn: 16, cpu: [12, 12] },
    ]);
    const [, , one, , many] = text.split('\n');
    expect(one).toMatch(/^1 a turn: ours +10\.0 +0\.90 /);
    expect(many).toMatch(/^16 a turn: ours +1\.00 +12\.0 +12\.0-12\.0$/);
  });
});

describe('memoryTable', () => {
  const result = (library: 'bare' | 'ours', mode: 'uncompressed' | 'shared', bytes: number) => ({
    library,
    mode,
    agreed: '',
    open: bytes,
    afterOne: bytes,
    afterMany: 2 * bytes,
    heap: { open: bytes / 2, afterOne: bytes / 2, afterMany: bytes },
  });
  const results = [
    result('bare', 'uncompressed', 6000),
    result('ours', 'uncompressed', 7000),
    result('ours', 'shared', 9000),
  ];

  it('compares an idle connection with a bare socket', () => {
    const lines = memoryTable(results).split('\n');
    expect(lines[3]).toMatch(
      /^open: ours, uncompressed +7000 +7000-7000 +3500 +1\.17 +1\.17-1\.17$/,
    );
    expect(lines[4]).toMatch(/^open: ours, shared +9000 .* 1\.50-1\.50$/);
    expect(lines[6]).toMatch(/^after 1 echo: ours, uncompressed .* 1\.17 +1\.17-1\.17$/);
  });

  it('takes the ratio within the round, in any order of subjects', () => {
    const rounds = [
      result('bare', 'uncompressed', 6000),
      result('ours', 'uncompressed', 6600),
      result('ours', 'uncompressed', 9000),
      result('bare', 'uncompressed', 7500),
      result('ours', 'uncompressed', 6500),
      result('bare', 'uncompressed', 6500),
    ];
    expect(memoryTable(rounds).split('\n')[3]).toMatch(
      /^open: ours, uncompressed +6600 +6500-9000 +3300 +1\.10 +1\.00-1\.20$/,
    );
  });

  it('has a chart with a group of bars for each stage', () => {
    const chart = memoryChart(results, 10);
    if (chart.kind !== 'bars') throw new Error(chart.kind);
    expect(chart.labels).toEqual(['open', 'after 1 echo', 'after 41']);
    expect(chart.series[2]!.name).toBe('ours, shared');
    const medians = chart.series[2]!.values.map((value) => (value as { median: number }).median);
    expect(medians).toEqual([9000, 9000, 18_000]);
  });
});

describe('streamTable', () => {
  it('compares with ws and with TCP, round by round', () => {
    const one = (name: 'ours' | 'ws' | 'raw', rate: number[]) => ({
      name,
      rate,
      cpu: [5],
      readerGrowth: [2 ** 20],
      writerGrowth: [2 ** 21],
    });
    const text = streamTable([one('ours', [10, 30]), one('ws', [5, 10]), one('raw', [20, 30])]);
    expect(text.split('\n')[2]).toMatch(
      /^ours +20\.0 +2\.50 +2\.00-3\.00 +0\.75 +5\.00 +1\.00 +2\.00$/,
    );
  });
});
