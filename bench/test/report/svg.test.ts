import { describe, expect, it } from 'vitest';
import type { Chart } from '../../src/report/chart.ts';
import type { BenchDocument } from '../../src/report/html-page.ts';
import { svgFiles } from '../../src/report/svg.ts';

const bars: Chart = {
  kind: 'bars',
  title: 'Echo <all>',
  unit: 'times as fast as ws',
  labels: ['16 B & more'],
  series: [{ name: 'ours', values: [{ median: 7, least: 6, most: 8 }] }],
};

function sample(...charts: Chart[]): BenchDocument {
  return {
    head: {
      scenario: 'compare',
      command: 'ws-bench compare',
      date: '2026-01-02T03:04:05.000Z',
      machine: { cpu: 'A <CPU>', cores: 2, memory: 2 ** 33, system: 'linux 6.1 x64' },
      versions: { node: '20.20.0', ws: '8.23.0' },
    },
    charts,
  };
}

describe('svgFiles', () => {
  it('names a file after the scenario and the title, and shows the origin of the figures', async () => {
    const files = await svgFiles('compare', sample(bars));
    expect([...files.keys()]).toEqual(['compare-echo-all.svg']);
    const [svg = ''] = files.values();
    for (const said of [
      '2 x A &lt;CPU&gt;',
      'node 20.20.0, ws 8.23.0, 2026-01-02',
      '16 B &amp; more',
    ]) {
      expect(svg).toContain(said);
    }
    expect(svg).not.toMatch(/<script|<all>|href=/);
  });

  it('draws the bar and its spread on one scale', async () => {
    const [svg = ''] = (await svgFiles('compare', sample(bars))).values();
    const [, left, right] = /<path d="M([\d.]+) [\d.]+l([\d.]+) 0[^>]+fill="#0072b2"/
      .exec(svg)!
      .map(Number);
    const spread = /<path d="M([\d.]+) [\d.]+L([\d.]+) [^>]+stroke="#3f3f46" stroke-width="1.25"/;
    const [, from, to] = spread.exec(svg)!.map(Number);
    const unit = right! / 7;
    expect(from).toBeCloseTo(left! + 6 * unit, 0);
    expect(to).toBeCloseTo(left! + 8 * unit, 0);
  });

  it('names each of many series, each in another colour', async () => {
    const names = Array.from({ length: 7 }, (_, i) => `a server with the options ${i}`);
    const series = names.map((name) => ({ name, values: [{ median: 7, least: 7, most: 7 }] }));
    const [svg = ''] = (await svgFiles('compare', sample({ ...bars, series }))).values();
    const texts = [...svg.matchAll(/<text [^>]*>([^<]+)</g)].map(([, text]) => text);
    expect(texts).toEqual(expect.arrayContaining(names));
    // A picture shows the first page of a scrolling legend only.
    expect(texts).not.toContain('1/2');
    const drawn = svg.matchAll(/<path d="M[\d.]+ [\d.]+l[\d.]+ 0[^>]+fill="(#\w{6})"/g);
    const fills = [...drawn].map(([, fill]) => fill);
    expect(new Set(fills.filter((fill) => fill !== '#ffffff')).size).toBe(names.length);
  });

  it('returns the same bytes for the same document', async () => {
    const curve: Chart = {
      kind: 'percentiles',
      title: 'Latency',
      unit: 'ms',
      series: [
        {
          name: 'ours',
          points: [
            [50, 1],
            [99, 3],
            [100, 9],
          ],
        },
      ],
    };
    const document = sample(bars, curve);
    expect(await svgFiles('compare', document)).toEqual(await svgFiles('compare', document));
  });

  it('rejects two charts with one title', async () => {
    await expect(svgFiles('compare', sample(bars, bars))).rejects.toThrow(
      "two charts are called 'Echo <all>'",
    );
  });
});
