import { describe, expect, it } from 'vitest';
import { chartOf } from '../../src/report/chart.ts';
import { pageOf } from '../../src/report/html-page.ts';
import type { Table } from '../../src/report/table.ts';

const EVIL = `</script><img src=x onerror="alert('1')">`;
const HEAD = {
  scenario: 'compare',
  command: 'ws-bench compare',
  date: '2026-01-02T03:04:05.000Z',
  machine: { cpu: 'A <CPU>', cores: 2, memory: 2 ** 33, system: 'linux 6.1 x64' },
  versions: { node: '20.20.0', ws: '8.23.0' },
};
const TABLE: Table = {
  title: 'Echo',
  unit: 'times those of ws',
  note: 'More is better.',
  labels: ['16 B & more'],
  series: [{ name: 'ours', values: [{ median: 7, least: 6, most: 8, marked: true }] }],
};

function textsOf(svg: string): string[] {
  return [...svg.matchAll(/<text [^>]*>([^<]+)</g)].map(([, text]) => text!);
}

const BAR = /<path d="M([\d.]+) [\d.]+l([\d.]+) 0[^>]+fill="(#\w{6})"/g;

describe('chartOf', () => {
  it('names the row, the value and the origin of the figures', async () => {
    const said = ['16 B &amp; more', '7.00*', 'node 20.20.0, ws 8.23.0, 2026-01-02'];
    const svg = await chartOf(TABLE, HEAD);
    expect(textsOf(svg)).toEqual(expect.arrayContaining(said));
    expect(svg).toContain('2 x A &lt;CPU&gt;');
  });

  it('draws the bar and its bracket on one scale', async () => {
    const svg = await chartOf(TABLE, HEAD);
    const [bar] = [...svg.matchAll(BAR)].filter(([, , , fill]) => fill === '#0072b2');
    const [left, right] = [Number(bar![1]), Number(bar![2])];
    const [, from, to] =
      /<path d="M([\d.]+)[ ,][^"]*?[LH]([\d.]+)[^>]*stroke="#3f3f46" stroke-width="1.25"/
        .exec(svg)!
        .map(Number);
    expect(from).toBeCloseTo(left + (6 / 7) * right, 0);
    expect(to).toBeCloseTo(left + (8 / 7) * right, 0);
  });

  it('puts the value at the end of its bar, on a logarithmic axis left of a bar below 1', async () => {
    const svg = await chartOf({ ...TABLE, series: [{ name: 'ours', values: [0.2, 40] }] }, HEAD);
    const anchorOf = (text: string): string | undefined =>
      RegExp(`text-anchor="(\\w+)"[^>]*>${text}<`).exec(svg)?.[1];
    expect([anchorOf('0.20'), anchorOf('40.0')]).toEqual(['end', 'start']);
  });

  it('names each of many contenders, each in another colour, but not the load', async () => {
    const names = Array.from({ length: 9 }, (_, i) => `a contender with the options ${i}`);
    const series = [...names, 'load busy, %'].map((name) => ({ name, values: [7] }));
    const svg = await chartOf({ ...TABLE, series }, HEAD);
    expect(textsOf(svg)).toEqual(expect.arrayContaining(names));
    expect(svg).not.toContain('busy');
    const fills = new Set([...svg.matchAll(BAR)].map(([, , , fill]) => fill));
    fills.delete('#ffffff');
    expect(fills.size).toBe(names.length);
  });

  it.each([
    { says: 'logarithmic for different magnitudes', values: [0.2, 40], ticks: ['0.1', '100'] },
    { says: 'linear for values below zero', values: [-50, 40], ticks: ['-60', '0'] },
    { says: 'linear for similar values', values: [2, null], ticks: ['0', '2'] },
  ])('has an axis that is $says', async ({ values, ticks }) => {
    const labels = values.map((_, i) => `row ${i}`);
    const svg = await chartOf({ ...TABLE, labels, series: [{ name: 'ours', values }] }, HEAD);
    expect(textsOf(svg)).toEqual(expect.arrayContaining(ticks));
    expect(svg).not.toContain('NaN');
  });

  it.each([
    { label: '64 x 16 x 1 KiB', words: '64 clients, 16 in flight, 1 KiB' },
    { label: 'wss 1 x 1 x 16 MiB', words: 'wss 1 client, 1 in flight, 16 MiB' },
    { label: 'JSON 64 x 16', words: 'JSON 64 clients, 16 in flight' },
    { label: '4 KiB x 16 shared', words: '4 KiB, 16 in flight, shared' },
    { label: '64 KiB, 1 in flight', words: '64 KiB, 1 in flight' },
  ])('labels the row $label in words', async ({ label, words }) => {
    const svg = await chartOf({ ...TABLE, labels: [label] }, HEAD);
    expect(textsOf(svg).join(' ')).toContain(words);
  });

  it('has a dark twin of each grey', async () => {
    const svg = await chartOf(TABLE, HEAD);
    const visible = svg.replace(/<style>.*<\/style>|[^<]*stroke-width="0"/g, '');
    const colours = new Set(visible.match(/#[0-9a-f]{6}/g));
    colours.delete('#0072b2'); // the bar
    for (const colour of colours) expect(svg).toContain(`[fill="${colour}"]`);
  });

  it('returns the same bytes for the same table', async () => {
    expect(await chartOf(TABLE, HEAD)).toBe(await chartOf(TABLE, HEAD));
  });
});

const evil = { ...TABLE, title: EVIL, unit: EVIL, note: EVIL, labels: [EVIL] };
const page = await pageOf({ ...HEAD, command: EVIL }, [TABLE, evil], `7.00\n${EVIL}`);

describe('pageOf', () => {
  it('has a chart, a note and the figures of each table, and the terminal output', () => {
    expect(page.match(/<svg /g)).toHaveLength(2);
    expect(page).toContain('<p>More is better.</p>');
    expect(page).toContain('<td>16 B &#38; more</td><td>7.00* (6.00 to 8.00)</td>');
    expect(page).toContain('<pre>7.00\n&#60;');
  });

  it('contains no markup of its content, and loads nothing', () => {
    expect(page).not.toMatch(/<script|<img|<link|url\(|href=|\bsrc="/);
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
  });
});
