import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { dial } from '@ws/node-client';
import { ownPort } from '@ws/tests';
import { axeFaults } from '@ws/tests/axe';
import { type Browser, lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import {
  type Example,
  endsWithSilentClient,
  rejectedExample,
  rejectsWrongPort,
  STACK,
  startExample,
} from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const screenshots = join(root, '.out/screenshots');

describe('examples/dashboard', () => {
  let example: Example;
  const start = (): Promise<Example> => startExample('dashboard', { EVERY_MS: '50' });
  beforeAll(async () => void (example = await start()));
  afterAll(() => example?.stop());

  async function fetchPage(path: string): Promise<{ status: number; type: string; body: string }> {
    const [response] = await once(get(example.url + path), 'response');
    const { statusCode, headers } = response;
    return { status: statusCode, type: headers['content-type'], body: await text(response) };
  }

  it('serves the page with its script and style, and nothing else', async () => {
    expect(await fetchPage('/')).toMatchObject({ status: 200, type: 'text/html; charset=utf-8' });
    expect((await fetchPage('/uplot.js')).body).toContain('uPlot');
    expect((await fetchPage('/websocket.js')).body).toContain('ReconnectingConn');
    expect((await fetchPage('/uplot.css')).status).toBe(200);
    expect((await fetchPage('/../server.ts')).status).toBe(404);
  });

  it('sends the history, then sample by sample', async () => {
    const conn = await dial(`${example.ws}/metrics`);
    const history = await conn.readJSON();
    expect(history).toBeInstanceOf(Array);
    for (let i = 0; i < 3; i++) {
      const [sample] = await conn.readJSON<Record<string, number>[]>();
      expect(sample!['connections']).toBeGreaterThanOrEqual(1);
      expect(sample!['memory']).toBeGreaterThan(10);
      expect(Math.abs(Date.now() / 1000 - sample!['at']!)).toBeLessThan(60);
    }
    await conn.close();
    const later = await dial(`${example.ws}/metrics`);
    expect((await later.readJSON<unknown[]>()).length).toBeGreaterThanOrEqual(3);
    await later.close();
  });

  describe.skipIf(lacksChromium())('in a browser', () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await launchHeadlessShell();
    });
    afterAll(() => browser?.close());

    it.each([
      ['wide', 1280, 800],
      ['narrow', 375, 740],
    ])('draws on a %s window, and axe finds nothing serious', async (name, width, height) => {
      const page = await browser.newPage({ viewport: { width, height } });
      const errors: string[] = [];
      page.on('pageerror', (error) => errors.push(String(error)));
      await page.goto(`${example.url}/`);
      await page.getByText('live', { exact: true }).waitFor();
      await page.waitForFunction(
        `[...document.querySelectorAll('output')].every(({ textContent }) => textContent !== '')`,
      );
      // Wait until each chart has coloured pixels.
      await page.waitForFunction(`[...document.querySelectorAll('canvas')].every((canvas) =>
          canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte !== 0))`);
      const overflow = 'document.documentElement.scrollWidth > window.innerWidth';
      expect(await page.evaluate(overflow)).toBe(false);
      await mkdir(screenshots, { recursive: true });
      await page.screenshot({ path: join(screenshots, `dashboard-${name}.png`), fullPage: true });
      expect(await axeFaults(page)).toEqual([]);
      expect(errors).toEqual([]);
      await page.close();
    });

    it('shows that it is not connected, and connects again, when its server restarts', async () => {
      const env = { EVERY_MS: '50', PORT: `${await ownPort()}` };
      const first = await startExample('dashboard', env);
      const page = await browser.newPage();
      await page.goto(`${first.url}/`);
      await page.getByText('live', { exact: true }).waitFor();
      await first.stop();
      await page.getByText('not connected', { exact: true }).waitFor();
      const second = await startExample('dashboard', env);
      try {
        await page.getByText('live', { exact: true }).waitFor();
      } finally {
        await second.stop();
        await page.close();
      }
    });
  });

  it('rejects an invalid time between samples', async () => {
    const ended = await rejectedExample('dashboard', { EVERY_MS: 'abc' });
    expect(ended).toContain('EVERY_MS: expected 1 to 999999999, got "abc"\n');
    expect(ended).not.toMatch(STACK);
  });

  rejectsWrongPort('dashboard');

  endsWithSilentClient(start, async ({ ws }) => dial(`${ws}/metrics`));
});
