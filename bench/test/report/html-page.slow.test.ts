import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { lacksChromium, launchChromium } from '@ws/tests/chromium';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { build } from 'tsup';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Chart } from '../../src/report/chart.ts';
import { heightOf } from '../../src/report/chart-option.ts';
import { type BenchDocument, pageOf } from '../../src/report/html-page.ts';

const bench = join(import.meta.dirname, '../..');
const out = join(bench, '../.out');
const EVIL = `</script><img src=x onerror="document.title='hacked'">`;
const TEST_TIMEOUT_MS = 60_000;

const charts: readonly Chart[] = [
  {
    kind: 'bars',
    title: 'Echo, messages per CPU second',
    unit: 'times as many as ws',
    note: 'more is better',
    labels: [
      '64 connections, 16 in flight, 16 B, receive',
      '4 connections, 1 in flight, 1 MiB',
      EVIL,
    ],
    series: [
      { name: 'ours', values: [{ median: 9.1, least: 7.9, most: 9.8 }, 2.4, null] },
      {
        name: 'raw TCP',
        values: [{ median: 14.2, least: 13.6, most: 15 }, { median: 2.1, least: 2, most: 2.2 }, 1],
      },
      { name: 'ws', values: [1, 1, 1] },
    ],
    line: { name: 'ws', value: 1 },
  },
  {
    kind: 'bars',
    title: 'Time of a frame',
    unit: 'ns',
    scale: 'log',
    labels: ['16 B', '1 MiB'],
    series: [{ name: 'ours', values: [21, { median: 91_000, least: 88_000, most: 99_000 }] }],
  },
  {
    kind: 'percentiles',
    title: 'Latency by percentile',
    unit: 'ms',
    series: [
      {
        name: 'ours',
        points: [
          [50, 0.2],
          [90, 0.4],
          [99, 2],
          [99.9, 9],
          [100, 40],
        ],
      },
      {
        name: EVIL,
        points: [
          [50, 0.3],
          [90, 1.4],
          [99, 6],
          [99.9, 30],
          [100, 70],
        ],
      },
    ],
  },
  {
    kind: 'lines',
    title: 'Throughput over time',
    unit: 'messages per second',
    axis: 'seconds',
    series: [
      {
        name: 'ours',
        points: [
          [1, 48_000],
          [2, 52_000],
          [3, 51_000],
        ],
      },
    ],
  },
];

const sample: BenchDocument = {
  head: {
    scenario: 'compare',
    command: `ws-bench compare --only '${EVIL}'`,
    date: '2026-01-02T03:04:05.000Z',
    machine: { cpu: 'A CPU', cores: 2, memory: 2 ** 33, system: 'linux 6.1 x64' },
    versions: { node: '20.20.0', ws: '8.23.0' },
  },
  charts,
};

describe('pageOf', () => {
  it('escapes foreign text and shows the origin of the figures', () => {
    const page = pageOf(sample, EVIL, '');
    expect(page).not.toContain('<img');
    expect(page.match(/<\/script>/g)).toHaveLength(2);
    for (const said of ['A CPU', 'node 20.20.0, ws 8.23.0', '2026-01-02T03:04:05', 'compare']) {
      expect(page).toContain(said);
    }
  });

  it('shows the figures of each chart in a table', () => {
    const page = pageOf(sample, '', '');
    expect(page).toContain('<td>9.1 (7.9-9.8)</td><td>14.2 (13.6-15)</td><td>1</td>');
    expect(page).toContain('<td>99.9</td><td>9</td><td>30</td>');
    expect(page).toContain('<td>2</td><td>52k</td>');
  });

  it('loads nothing from a network', () => {
    expect(pageOf(sample, '', '')).not.toMatch(/(?:src|href)="(?!data:)/);
  });
});

describe.skipIf(lacksChromium())('a report in a browser', () => {
  let browser: Browser;
  let folder: string;
  let file: string;

  beforeAll(async () => {
    mkdirSync(join(out, 'screenshots'), { recursive: true });
    folder = mkdtempSync(join(out, 'report-'));
    await build({
      config: false,
      silent: true,
      entry: { draw: join(bench, 'src/report/draw-charts.ts') },
      format: ['iife'],
      platform: 'browser',
      minify: true,
      noExternal: [/./],
      outDir: folder,
      outExtension: () => ({ js: '.js' }),
    });
    file = join(folder, 'report.html');
    const script = readFileSync(join(folder, 'draw.js'), 'utf8');
    writeFileSync(file, pageOf(sample, 'terminal output', script));
    browser = await launchChromium();
  }, TEST_TIMEOUT_MS);
  afterAll(async () => {
    await browser?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  async function open(options: BrowserContextOptions): Promise<{ page: Page; faults: string[] }> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => {
      if (message.type() !== 'log') faults.push(message.text());
    });
    page.on('request', (request) => {
      if (!/^(?:file|data):/.test(request.url())) faults.push(request.url());
    });
    await page.goto(pathToFileURL(file).href);
    return { page, faults };
  }

  it.each([
    { name: 'phone', width: 390, height: 844, colorScheme: 'light' },
    { name: 'phone-dark', width: 390, height: 844, colorScheme: 'dark' },
    { name: 'wide', width: 1280, height: 900, colorScheme: 'light' },
    { name: 'wide-dark', width: 1280, height: 900, colorScheme: 'dark' },
  ] as const)(
    'draws every chart within the window, $name',
    async ({ name, width, height, colorScheme }) => {
      const { page, faults } = await open({ viewport: { width, height }, colorScheme });
      await page.screenshot({
        path: join(out, `screenshots/bench-report-${name}.png`),
        fullPage: true,
      });
      const drawn = await page.locator('.chart svg').evaluateAll((pictures) =>
        pictures.map((picture) => ({
          paths: picture.querySelectorAll('path').length,
          wide: picture.clientWidth,
          high: picture.clientHeight,
        })),
      );
      expect(drawn).toHaveLength(charts.length);
      drawn.forEach(({ paths, wide, high }, i) => {
        expect(paths).toBeGreaterThan(3);
        expect(wide).toBeGreaterThan(width / 2);
        expect(high).toBe(heightOf(charts[i]!));
      });
      expect(await page.locator('html').evaluate((html) => html.scrollWidth)).toBe(width);
      expect(await page.locator('details.figures[open]').count()).toBe(0);
      expect(await page.title()).toBe('ws-bench compare');
      expect(faults).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'shows the tables without scripts',
    async () => {
      const { page } = await open({ javaScriptEnabled: false });
      expect(await page.locator('details.figures[open] table').count()).toBe(charts.length);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'redraws when the window becomes narrow',
    async () => {
      const { page, faults } = await open({ viewport: { width: 1280, height: 900 } });
      await page.setViewportSize({ width: 390, height: 844 });
      const widest = (): Promise<number> =>
        page
          .locator('.chart svg')
          .evaluateAll((pictures) => Math.max(...pictures.map((picture) => picture.clientWidth)));
      await expect.poll(widest).toBeLessThan(390);
      expect(faults).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );
});
