import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillMarkers } from '../../src/recorded/markers.ts';
import { faults, outdated } from '../../src/recorded/outdated.ts';
import { PAGES } from '../../src/recorded/sections.ts';
import { strayFigures } from '../../src/recorded/stray-figures.ts';
import type { BarChart } from '../../src/report/chart.ts';
import { broadcastChart } from '../../src/scenarios/broadcast-report.ts';
import { CELLS, growths } from '../../src/scenarios/compare-cells.ts';
import type { Readings } from '../../src/scenarios/compare-echo.ts';
import { contenderChart } from '../../src/scenarios/compare-report.ts';
import { memoryChart } from '../../src/scenarios/memory-report.ts';

function head(scenario: string, more = '') {
  return {
    scenario,
    command: `ws-bench ${scenario}${more} --json .out/recording/${scenario}.json`,
    date: '2026-01-02T03:04:05.000Z',
    machine: { cpu: 'A CPU', cores: 2, memory: 2 ** 33, system: 'linux 6.1 x64' },
    versions: { node: '20.20.0', ours: '0.1.0', ws: '8.23.0' },
    commit: '1a2b3c4',
  };
}

const readings = (contender: Readings['contender'], ...cpu: number[]): Readings => ({
  name: '',
  contender,
  cpu,
  rate: [1],
  loadBusy: [0.5],
});

/** 64 x 16 x 16 B: `receive` is 8, 7 and 10 times as fast as ws, and 0.5 to 0.6 times as fast as raw. */
function compareResult(more = ''): object {
  const cells = [
    {
      cell: CELLS[1]!,
      readings: [
        readings('receive', 1, 2, 1),
        readings('loop', 2, 2, 2),
        readings('ws', 8, 14, 10),
        readings('raw', 0.5, 1, 0.6),
      ],
    },
  ];
  const broadcast = [1, 16].flatMap((perTurn) => [
    { name: 'ours' as const, perTurn, cpu: [1, 1] },
    { name: 'ws' as const, perTurn, cpu: [11, 12] },
  ]);
  const growth = growths(10_000)[1]!;
  return {
    setting: { pinned: { server: 0, load: 1 }, bufferutil: true },
    plan: { rounds: 9, ms: 1000 },
    connections: { most: 10_000 },
    cells,
    clients: [],
    broadcast,
    heap: [{ name: '32 x 1 x 16 B', bytes: { receive: [910, 900], ws: [2000], raw: [895] } }],
    growths: [
      {
        growth,
        contender: 'receive',
        small: readings('receive', 100),
        large: readings('receive', 1680),
      },
    ],
    head: head('compare', more),
    charts: [contenderChart(cells), broadcastChart(broadcast, 1000)],
  };
}

function memoryResult(): object {
  const one = (library: 'bare' | 'ours' | 'ws', mode: 'uncompressed' | 'shared', open: number) => ({
    library,
    mode,
    agreed: '',
    open,
    afterOne: open,
    afterMany: open,
    heap: { open: open / 2, afterOne: open / 2, afterMany: open / 2 },
  });
  const results = [
    one('bare', 'uncompressed', 6000),
    one('ours', 'uncompressed', 6600),
    one('ws', 'uncompressed', 9000),
    one('ours', 'shared', 6700),
  ];
  return { head: head('memory'), results, charts: [memoryChart(results, 5000)] };
}

function deflateResult(): object {
  const chart: BarChart = {
    kind: 'bars',
    title: 'Compressed echo, messages per CPU second',
    unit: 'times as many as ws',
    labels: ['64 B x 16, shared, 1 : 6', '64 B x 1, shared, 1 : 6', '4 KiB x 16, shared, 6 : 6'],
    series: [{ name: 'ours', values: [9.25, 4, 2] }],
    line: { name: 'ws', value: 1 },
  };
  return { head: head('deflate'), charts: [chart] };
}

describe('outdated', () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'ws-pages-'));
    for (const [path, { sections }] of Object.entries(PAGES)) {
      const places = Object.keys(sections).map(
        (name) => `<!-- bench: ${name} -->\n<!-- end of bench -->\n`,
      );
      put(path, `# A page\n\n${places.join('\nwords\n')}`);
    }
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function put(path: string, content: string): void {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }

  function record(results: Readonly<Record<string, object>>): void {
    for (const [name, result] of Object.entries(results)) {
      put(`bench/results/${name}.json`, JSON.stringify(result));
    }
  }

  async function draw(): Promise<void> {
    for (const { path, content } of await outdated(root)) {
      if (content === undefined) rmSync(join(root, path));
      else put(path, content);
    }
    expect(await outdated(root)).toEqual([]);
  }

  const page = (path: string): string => readFileSync(join(root, path), 'utf8');
  const paths = async (): Promise<string[]> => (await outdated(root)).map(({ path }) => path);

  it('writes the command that records a missing result', async () => {
    await draw();
    expect(page('README.md')).toContain('`npx -y pnpm@10.34.9 bench record compare`');
    expect(page('docs/performance.md')).toContain('`npx -y pnpm@10.34.9 bench record codec`');
  });

  it('writes the tables with their spread and their origin', async () => {
    record({ compare: compareResult() });
    await draw();
    expect(page('README.md')).toContain(
      '<sub>`ws-bench compare`: 2 x A CPU, 8 GiB, linux 6.1 x64; server on core 0, load on core 1; ' +
        'node 20.20.0, ours at 1a2b3c4, ws 8.23.0; 2026-01-02; 9 rounds of 1000 ms.</sub>',
    );
    const performance = page('docs/performance.md');
    expect(performance).toContain(
      '| 64 x 16 x 16 B, receive | 1.00 | 8.00 (7.00 to 10.0) | 0.50 (0.50 to 0.60) |',
    );
    expect(performance).toContain(
      '| 32 x 1 x 16 B | 905 (900 to 910) | 2000 (2000 to 2000) | 895 (895 to 895) | 10.0 |',
    );
    expect(performance).toContain(
      '| 1 -> 16 MiB a message, a byte: receive | 1.05 (1.05 to 1.05) |',
    );
  });

  it('puts every chart with its figures into the page, and one smaller chart into the README', async () => {
    record({ compare: compareResult(), memory: memoryResult(), deflate: deflateResult() });
    await draw();
    const shown = (path: string): string[] =>
      [...page(path).matchAll(/!\[[^\]]+\]\(([^)]+)\)/g)].map(([, file]) => file!);
    expect(shown('README.md')).toEqual(['docs/charts/readme-echo.svg']);
    expect(shown('docs/performance.md')).toEqual([
      'charts/compare-echo.svg',
      'charts/compare-broadcast-of-100-b-to-1000-receivers.svg',
      'charts/memory-memory-of-an-idle-connection-5000-of-them.svg',
      'charts/deflate-compressed-echo-messages-per-cpu-second.svg',
    ]);
    expect(page('docs/performance.md')).toContain(
      '| open | 1.10 (1.10 to 1.10) | 1.50 (1.50 to 1.50) |',
    );
    for (const file of shown('README.md')) expect(page(file)).toContain('2 x A CPU');
    for (const file of shown('docs/performance.md')) expect(page(`docs/${file}`)).toMatch(/^<svg/);
    expect(page('docs/charts/readme-echo.svg')).toContain('>raw TCP<');
    expect(page('docs/performance.md')).toContain(
      '| open | 6000 (6000 to 6000) | 6600 (6600 to 6600) | 9000 (9000 to 9000) | 6700 (6700 to 6700) |',
    );
  });

  it('lists a changed table, a changed picture, an unknown picture and the pages of a changed result', async () => {
    record({ compare: compareResult() });
    await draw();
    const performance = page('docs/performance.md');
    put('docs/performance.md', performance.replace('8.00 (7.00', '9.00 (7.00'));
    expect(await paths()).toEqual(['docs/performance.md']);
    await draw();
    put('docs/charts/compare-echo.svg', '<svg/>');
    put('docs/charts/unknown.svg', '<svg/>');
    expect(await paths()).toEqual(['docs/charts/compare-echo.svg', 'docs/charts/unknown.svg']);
    await draw();
    record({ compare: { ...compareResult(), broadcast: [] } });
    expect(await paths()).toEqual(['docs/performance.md']);
  });

  it('keeps the text around the markers', async () => {
    record({ compare: compareResult() });
    await draw();
    expect(page('docs/performance.md')).toMatch(
      /^# A page\n[^]*<!-- end of bench -->\n\nwords\n<!-- bench: /,
    );
  });

  it('rejects a page without the marker of a section', async () => {
    put('README.md', '# A page\n');
    await expect(outdated(root)).rejects.toThrow(
      "README.md: section 'echo' has 0 places, expected 1",
    );
  });

  it('leaves handwritten figures and partial results to faults', async () => {
    record({ compare: compareResult(' --quick') });
    await draw();
    expect(faults(root)).toEqual([
      'bench/results/compare.json was recorded with --quick; record a full run',
    ]);
    record({ compare: compareResult() });
    await draw();
    expect(faults(root)).toEqual([]);
    put('README.md', `${page('README.md')}It is 8 times as fast.\n`);
    const line = page('README.md').split('\n').length - 1;
    expect(faults(root)).toEqual([`README.md:${line}: '8 times' is not from a recorded result`]);
  });
});

describe('fillMarkers', () => {
  const sections = new Map([['a', 'A']]);

  it.each([
    { says: 'a marker without a section', page: '<!-- bench: b -->\n<!-- end of bench -->' },
    {
      says: 'two markers of one section',
      page: '<!-- bench: a -->\n<!-- end of bench -->\n'.repeat(2),
    },
    { says: 'a marker without an end', page: '<!-- bench: a -->\n' },
    {
      says: 'an end without a marker',
      page: '<!-- bench: a -->\n<!-- end of bench -->\n<!-- end of bench -->',
    },
  ])('rejects $says', ({ page }) => {
    expect(() => fillMarkers(page, sections)).toThrow();
  });

  it('keeps a page that is up to date', () => {
    const page = 'x\n<!-- bench: a -->\nA\n<!-- end of bench -->\ny\n';
    expect(fillMarkers(page, sections)).toBe(page);
  });
});

describe('strayFigures', () => {
  it.each([
    'it is 7 x as fast',
    'some 7.5× that of ws',
    'ws takes × 7',
    'a 10x gain',
    'three times as fast',
    'twice as fast',
    'half the memory',
    'takes 43 ns',
    'takes 1.5 µs',
    'takes 40us',
    'p99 of 2 ms',
    'done in 12 s',
    'some ten minutes',
    'copies at 70 GB/s',
    'streams 900 MB/s',
    'does 40,000 messages per second',
    'holds 6,000 B a connection',
    'leaves 60 bytes per message',
    '15 % faster',
    '3 faster',
  ])('finds a figure in "%s"', (text) => {
    expect(strayFigures(`# A page\n\n${text}\n`).map(({ line }) => line)).toContain(3);
  });

  it.each([
    '64 x 16 x 16 B',
    'reads of up to 64 KiB, from Node 20.19 on',
    '1,000 receivers, 100 B each',
    'key 0x37fa213d',
    'port 8080, RFC 6455, code 1009',
    'UTF-8, one write per read, two system calls for a message',
    'a message of 16 MiB',
  ])('finds no figure in "%s"', (text) => {
    expect(strayFigures(text)).toEqual([]);
  });

  it('skips the text between the markers, and reports the line', () => {
    const page = 'a\n<!-- bench: a -->\n7 x\n\n<!-- end of bench -->\n8 x\n';
    expect(strayFigures(page)).toEqual([{ line: 6, figure: '8 x' }]);
  });
});
