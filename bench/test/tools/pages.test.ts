import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { documentText } from '../../src/report/document-text.ts';
import { verdictOf } from '../../src/report/verdict.ts';
import { faults, outdated, writePages } from '../../tools/charts.ts';
import { fillMarkers } from '../../tools/markers.ts';
import { PAGES } from '../../tools/sections.ts';
import { strayFigures } from '../../tools/stray-figures.ts';

const TABLE = {
  title: 'Echo',
  unit: 'times those of ws',
  note: 'More is better.',
  labels: ['64 x 16 x 16 B'],
  series: [
    { name: 'receive', values: [{ median: 8, least: 7, most: 10 }] },
    { name: 'ws', values: [{ median: 1, least: 1, most: 1 }] },
    { name: 'ws, corked', values: [9] },
    { name: 'raw1', values: [16] },
  ],
};

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

function compareResult(more = ''): object {
  return {
    head: head('compare', more),
    cores: { server: 0, load: 1, shared: false },
    plan: { processes: 3, rounds: 3, ms: 700, warmUpMs: 700, seed: 7 },
    tables: [TABLE],
    contests: [
      {
        name: '64 x 16 x 16 B',
        masks: {},
        readings: {
          receive: { us: [[1], [2]] },
          ws: { us: [[12], [24]] },
          raw1: { us: [[0.5], [1]] },
        },
      },
    ],
  };
}

const TABLES = 'bench/results/node-20/README.md';

describe('outdated', () => {
  let root: string;

  beforeEach(() => {
    // The names of written files.
    vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    // Results that are not recorded in full.
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    root = mkdtempSync(join(tmpdir(), 'ws-pages-'));
    for (const [path, sections] of Object.entries(PAGES)) {
      const places = Object.keys(sections).map(
        (name) => `<!-- bench: ${name} -->\n<!-- end of bench -->\n`,
      );
      put(path, `# A page\n\n${places.join('\nwords\n')}`);
    }
  });

  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(root, { recursive: true, force: true });
  });

  function put(path: string, content: string): void {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }

  async function record(name: string, result: object, set = 'node-20'): Promise<void> {
    put(`bench/results/${set}/${name}.json`, JSON.stringify(result));
    await writePages(root);
    expect(await outdated(root)).toEqual([]);
  }

  const page = (path: string): string => readFileSync(join(root, path), 'utf8');

  it('names the command that measures a missing result', async () => {
    await writePages(root);
    expect(page('README.md')).toContain('`npx -y pnpm@10.34.9 bench compare`');
    expect(page('docs/performance.md')).toContain('`npx -y pnpm@10.34.9 bench stream`');
  });

  it('writes every contender, where a rival is ahead, and the origin', async () => {
    await record('compare', compareResult());
    expect(page(TABLES)).toContain(
      '| 64 x 16 x 16 B | 8.00 (7.00 to 10.0) | 1.00 (1.00 to 1.00) | 9.00 | 16.0 |',
    );
    for (const path of ['docs/performance.md', TABLES]) {
      expect(page(path)).toContain(
        '- 64 x 16 x 16 B. `receive`: `raw1` 2.00 (TCP without frames); level with `ws, corked`.',
      );
    }
    const readme = page('README.md');
    for (const text of [readme, page('docs/performance.md')]) {
      expect(text).not.toContain('| 64 x 16 x 16 B |');
    }
    expect(readme).toContain(
      'Measured on Node 20: [all tables of compare](bench/results/node-20/README.md#compare).',
    );
    expect(page('docs/performance.md')).toContain(
      'Measured on Node 20: [all tables of compare](../bench/results/node-20/README.md#compare). <sub>`ws-bench compare`: 2 x A CPU, 8 GiB, linux 6.1 x64; server on core 0, load on core 1; ' +
        'node 20.20.0, ours at 1a2b3c4, ws 8.23.0; 2026-01-02; 3 processes, 3 rounds of 700 ms, seed 7.</sub>',
    );
  });

  it('shows five rows of compare, and every row beside the results', async () => {
    const labels = Array.from({ length: 6 }, (_, row) => `row ${row}`);
    const series = [
      { name: 'receive', values: labels.map(() => 1) },
      { name: 'bun', values: labels.map(() => 2) },
    ];
    await record('compare', { ...compareResult(), tables: [{ ...TABLE, labels, series }] });
    expect(page('docs/performance.md')).toContain('- row 4. ');
    expect(page('docs/performance.md')).not.toContain('- row 5. ');
    expect(page('docs/charts/compare.svg')).toContain('row 4');
    expect(page('docs/charts/compare.svg')).not.toContain('row 5');
    expect(page(TABLES)).toContain('| row 5 | 1.00 | 2.00 |');
    expect(page(TABLES)).toContain('- row 5. `receive`: `bun` 2.00 (native code).');
  });

  it('shows the oldest Node on the pages, and links to the tables of each', async () => {
    const inSet = (node: string, title: string): object => ({
      ...compareResult(),
      head: { ...head('compare'), versions: { node } },
      tables: [{ ...TABLE, title }],
    });
    await record('compare', inSet('20.20.0', 'By the oldest'), 'node-20');
    await record('compare', inSet('100.0.0', 'By the newest'), 'node-100');
    const performance = page('docs/performance.md');
    expect(performance).toContain('![By the oldest: times those of ws]');
    expect(performance).not.toContain('By the newest');
    expect(performance).toContain('- [Node 100](../bench/results/node-100/README.md)');
    expect(page('bench/results/node-100/README.md')).toContain('**By the newest**');
    expect(page('README.md')).toContain('![By the oldest: times those of ws]');
    expect(page('docs/charts/compare.svg')).toContain('By the oldest');
    expect(page('README.md')).toContain('Measured on Node 20: ');
  });

  it('shows the rows of a chart on both versions of Node side by side', async () => {
    const [receive, ...rest] = TABLE.series;
    const series = [{ ...receive!, values: [9] }, ...rest.slice(0, 2)];
    await record('compare', compareResult(), 'node-20');
    await record('handshakes', { ...compareResult(), head: head('handshakes') }, 'node-20');
    await record('compare', { ...compareResult(), tables: [{ ...TABLE, series }] }, 'node-24');
    const sides = page('docs/performance.md').split('**Node 20 / Node 24**');
    expect(sides).toHaveLength(2);
    expect(sides[1]).toContain(
      '| 64 x 16 x 16 B | 8.00 / 9.00 | 1.00 / 1.00 | 9.00 / 9.00 | 16.0 / - |',
    );
    expect(page('README.md')).not.toContain('Node 24');
  });

  it('draws a chart of the first table, and removes the chart of a removed result', async () => {
    await record('compare', compareResult());
    expect(page('README.md')).toContain('![Echo: times those of ws](docs/charts/compare.svg)');
    expect(page('docs/performance.md')).toContain('](charts/compare.svg)');
    expect(page('docs/charts/compare.svg')).toContain('>8.00</text>');
    put('docs/charts/compare.svg', '<svg/>');
    put('docs/charts/old.svg', '<svg/>');
    expect(await outdated(root)).toEqual([
      { path: 'docs/charts/compare.svg', content: expect.stringContaining('>8.00<') },
      { path: 'docs/charts/old.svg', content: undefined },
    ]);
    await writePages(root);
    expect(await outdated(root)).toEqual([]);
  });

  it('lists a page with a changed table, and keeps the text around the markers', async () => {
    await record('compare', compareResult());
    for (const path of ['docs/performance.md', TABLES]) {
      put(path, page(path).replace('`raw1` 2.00', '`raw1` 3.00'));
    }
    const paths = (await outdated(root)).map(({ path }) => path);
    expect(paths).toEqual(['docs/performance.md', TABLES]);
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

  it('leaves handwritten figures and results to measure again to faults', async () => {
    await record('compare', compareResult(' --quick'));
    expect(faults(root)).toEqual([
      'bench/results/node-20/compare.json: recorded with --quick; record a full run',
    ]);
    const labels = ['a row: two modes, no result'];
    const split = { ...compareResult(), tables: [{ ...TABLE, labels }], warnings: ['busy'] };
    await record('compare', split);
    const again = 'pnpm bench record compare measures it again';
    expect(faults(root)).toEqual([
      `bench/results/node-20/compare.json: a row: two modes, no result; ${again}`,
      `bench/results/node-20/compare.json: busy; ${again}`,
    ]);
    // 200 openings are too short for a figure, and on no chart.
    const openings = ['200 connections: two modes, no result', '2000 connections'];
    const series = TABLE.series.map((one) => ({ ...one, values: [null, ...one.values] }));
    await record('handshakes', {
      ...compareResult(),
      head: head('handshakes'),
      tables: [{ ...TABLE, labels: openings, series }],
      warnings: ['200 connections: busy', '2000 connections: busy'],
    });
    expect(faults(root).filter((fault) => fault.includes('handshakes.json'))).toEqual([
      'bench/results/node-20/handshakes.json: 2000 connections: busy; pnpm bench record handshakes measures it again',
    ]);
    await record('handshakes', { ...compareResult(), head: head('handshakes') });
    await record('compare', compareResult());
    expect(faults(root)).toEqual([]);
    put('README.md', `${page('README.md')}It is 8 times as fast.\n`);
    const line = page('README.md').split('\n').length - 1;
    expect(faults(root)).toEqual([`README.md:${line}: '8 times' is not from a recorded result`]);
  });
});

describe('verdictOf', () => {
  it('names who is ahead of each way of reading, the furthest first, by how much and why', () => {
    const series = [
      { name: 'receive', values: [2, 4] },
      { name: 'loop', values: [1, 3] },
      { name: 'ws', values: [1.5, 1] },
      { name: 'ws, corked', values: [1.2, 1] },
      { name: 'bun', values: [3, 1] },
    ];
    expect(verdictOf({ ...TABLE, labels: ['64 x 1 x 16 B', 'text'], series })).toEqual([
      'Ahead of us in each row, by how many times, and the likely cause; level where the ranges overlap:',
      '- 64 x 1 x 16 B. `receive`: `bun` 1.50 (native code). `loop`: `bun` 3.00 (native code); ' +
        '`ws` 1.50, `ws, corked` 1.20 (a loop creates a promise and a message each time).',
      'No other contender is ahead in the other rows.',
    ]);
  });

  it('inverts a table where less is better', () => {
    const labels = ['5000 idle connections'];
    const verdict = verdictOf({ ...TABLE, labels, note: 'Less is better.' }).join();
    expect(verdict).toContain('`ws` 8.00 (fewer objects for a connection)');
    expect(verdict).not.toContain('raw1');
  });

  it.each([
    ['of a table without a direction', { ...TABLE, note: 'One means linear.' }],
    ['without a contender of ours', { ...TABLE, series: TABLE.series.slice(1) }],
  ])('says nothing %s', (_, table) => expect(verdictOf(table)).toEqual([]));

  it('calls a rival level whose range overlaps ours', () => {
    const spread = (median: number, least: number, most: number) => ({ median, least, most });
    const series = [
      { name: 'receive', values: [spread(2, 1, 3)] },
      { name: 'ws', values: [spread(2.5, 2.4, 2.6)] },
      { name: 'bun', values: [spread(4, 3.1, 5)] },
    ];
    expect(verdictOf({ ...TABLE, labels: ['a row'], series })).toContain(
      '- a row. `receive`: `bun` 2.00 (native code); level with `ws`.',
    );
  });

  it('does not call a rival ahead that has the same figure', () => {
    const series = [
      { name: 'receive', values: [0.751] },
      { name: 'ws', values: [0.754] },
      { name: 'bun', values: [0.756] },
    ];
    const verdict = verdictOf({ ...TABLE, series }).join();
    expect(verdict).not.toContain('`ws`');
    expect(verdict).toContain('`bun` 1.01');
  });
});

describe('documentText', () => {
  it('keeps a list of numbers in one line, with six digits', () => {
    const text = documentText({ us: [[1.23456789, 2], [3e-7]], name: 'a' });
    expect(text).toContain('[1.23457,2]');
    expect(JSON.parse(text)).toEqual({ us: [[1.23457, 2], [3e-7]], name: 'a' });
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
