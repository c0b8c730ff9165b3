// The site of the docs, as a browser shows it. `pnpm run docs` builds it. With CI set nothing is
// skipped: a missing build fails the test.
import { once } from 'node:events';
import { accessSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, posix, relative } from 'node:path';
import { lacksChromium, launchChromium } from '@ws/tests/chromium';
import axe, { type AxeResults } from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const site = join(root, '.out/site');
const screenshots = join(root, '.out/screenshots');
const unbuilt = !existsSync(join(site, 'index.html')) && !process.env['CI'];
if (unbuilt) console.log('skipped: the site of the docs; not built, pnpm run docs does it');

it.skipIf(unbuilt)('the site of the docs has the file and the anchor of every link', () => {
  const files = new Set(
    readdirSync(site, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(
        ({ parentPath, name }) =>
          `/${relative(site, join(parentPath, name)).replaceAll('\\', '/')}`,
      ),
  );
  const pages = [...files].filter((file) => file.endsWith('.html'));
  const contents = new Map(pages.map((page) => [page, readFileSync(join(site, page), 'utf8')]));
  const ids = new Map(
    [...contents].map(([page, html]) => [
      page,
      new Set([...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)),
    ]),
  );
  const file = (path: string) =>
    [path, `${path}.html`, posix.join(path, 'index.html')].find((each) => files.has(each));
  const dead = [...contents].flatMap(([page, html]) =>
    [...html.matchAll(/ (?:href|src)="(?![a-z]+:)([^"#?]*)[^"#]*(?:#([^"]+))?"/g)].flatMap(
      ([link, path, anchor]) => {
        const target = path === '' ? page : file(posix.resolve(posix.dirname(page), path!));
        const missing = anchor !== undefined && !ids.get(target!)?.has(decodeURIComponent(anchor));
        return target === undefined || missing ? [`${page}:${link}`] : [];
      },
    ),
  );
  expect(pages.length).toBeGreaterThan(100);
  expect(dead).toEqual([]);
});

describe.skipIf(unbuilt || lacksChromium())('the site of the docs', () => {
  let browser: Browser;
  let server: Server;
  let origin: string;
  beforeAll(async () => {
    accessSync(join(site, 'index.html'));
    server = createServer(sendFile).listen(0, '127.0.0.1');
    await once(server, 'listening');
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await launchChromium();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    server?.close();
  }, 60_000);

  it.each([
    ['wide', 1440, 900],
    ['narrow', 375, 812],
  ])('shows its pages on a %s window', { timeout: 120_000 }, async (name, width, height) => {
    const { page, errors } = await open({ viewport: { width, height } });
    mkdirSync(screenshots, { recursive: true });
    for (const [path, heading] of [
      ['/', '@ws packages'],
      ['/server.html', 'How do you serve WebSockets?'],
      ['/performance.html', 'How fast is it'],
      ['/close-codes.html', 'What does this close code mean?'],
      ['/browser.html', 'How does a page connect?'],
      ['/live.html', 'Try it here'],
      ['/api/', 'API'],
      ['/api/@ws/conn/classes/Conn.html', 'Conn'],
    ] as const) {
      await page.goto(origin + path);
      await page.getByRole('heading', { level: 1 }).filter({ hasText: heading }).waitFor();
      const overflow = 'document.documentElement.scrollWidth > window.innerWidth';
      expect([path, await page.evaluate(overflow)]).toEqual([path, false]);
      await page.evaluate(
        'Promise.all([...document.images].map((each) => each.decode().catch(() => {})))',
      );
      const broken = `[...document.images].filter(({ complete, naturalWidth }) => complete && naturalWidth === 0).map(({ src }) => src)`;
      expect(await page.evaluate(broken)).toEqual([]);
      expect([path, await page.evaluate(CUT_WORDS)]).toEqual([path, []]);
      const shot =
        path === '/' ? 'front' : path.match(/(\w[\w-]*)(?:\.html|\/)$/)![1]!.toLowerCase();
      await page.screenshot({ path: join(screenshots, `docs-${shot}-${name}.png`) });
    }
    expect(errors).toEqual([]);
    await page.close();
  });

  it.each([
    { look: 'narrow', options: { viewport: { width: 375, height: 812 } } },
    { look: 'dark', options: { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' } },
  ] as const)('has no fault that axe finds ($look)', { timeout: 120_000 }, async ({ options }) => {
    const { page } = await open({ ...options, reducedMotion: 'reduce' });
    for (const path of ['/', '/server.html', '/limits.html']) {
      await page.goto(origin + path, { waitUntil: 'networkidle' });
      expect([path, await page.getByRole('main').count()]).toEqual([path, 1]);
      expect([path, await faults(page)]).toEqual([path, []]);
    }
    await page.close();
  });

  it.each([
    { look: 'dark', options: { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' } },
    { look: 'narrow', options: { viewport: { width: 390, height: 844 } } },
  ] as const)(
    'runs two Conns on its live page ($look)',
    { timeout: 60_000 },
    async ({ look, options }) => {
      const { page, errors } = await open(options);
      await page.goto(`${origin}/live.html`, { waitUntil: 'networkidle' });
      await page.getByLabel('Message').fill('grüße');
      await page.getByRole('button', { name: 'Send' }).click();
      await page.getByText('client: got grüße back').waitFor();
      await page.getByRole('button', { name: 'Ping' }).click();
      await page.getByText(/client: pong after [\d.]+ ms/).waitFor();
      await page.getByRole('button', { name: 'Close' }).click();
      await page.getByText('closed with 1000', { exact: true }).waitFor();
      await page.getByRole('button', { name: 'Open' }).click();
      await page.getByRole('button', { name: 'Send' }).click();
      await page.getByText('server: got grüße').waitFor();
      const overflow = 'document.documentElement.scrollWidth > window.innerWidth';
      expect([await faults(page), await page.evaluate(overflow), errors]).toEqual([[], false, []]);
      mkdirSync(screenshots, { recursive: true });
      await page.screenshot({ path: join(screenshots, `docs-live-pair-${look}.png`) });
      await page.close();
    },
  );

  it('shows the type and the docstring of a name under the pointer', async () => {
    const { page, errors } = await open({ viewport: { width: 1440, height: 900 } });
    await page.goto(`${origin}/server.html`, { waitUntil: 'networkidle' });
    await page.locator('[data-type]', { hasText: 'serve' }).first().hover();
    await page.getByText('function serve<').waitFor();
    await page.getByText('Starts a WebSocket server and resolves when it listens.').waitFor();
    await page.getByRole('heading', { level: 1 }).hover();
    await page.getByText('function serve<').waitFor({ state: 'hidden' });
    expect(errors).toEqual([]);
    await page.close();
  });

  it('shows the types of a focused program by Enter', async () => {
    const { page, errors } = await open({ viewport: { width: 1440, height: 900 } });
    await page.goto(`${origin}/server.html`, { waitUntil: 'networkidle' });
    await page.locator('pre.twoslash').first().focus();
    await page.keyboard.press('Enter');
    await page.getByText('function serve<').waitFor();
    await page.keyboard.press('Enter');
    await page.getByText('const server: WebSocketServer').waitFor();
    await page.keyboard.press('Shift+Enter');
    await page.getByText('function serve<').waitFor();
    await page.keyboard.press('Escape');
    await page.getByText('function serve<').waitFor({ state: 'hidden' });
    expect(errors).toEqual([]);
    await page.close();
  });

  it('shows the type of a tapped name', async () => {
    const { page } = await open({ viewport: { width: 390, height: 844 }, hasTouch: true });
    await page.goto(`${origin}/server.html`, { waitUntil: 'networkidle' });
    await page.locator('[data-type]', { hasText: 'serve' }).first().tap();
    await page.getByText('function serve<').waitFor();
    await page.close();
  });

  it('scrolls a chart sideways on a phone', async () => {
    const { page } = await open({ viewport: { width: 390, height: 844 } });
    await page.goto(`${origin}/performance.html`, { waitUntil: 'networkidle' });
    const chart = page.locator('.picture').first();
    expect(await chart.evaluate((each) => each.scrollWidth > each.clientWidth)).toBe(true);
    expect(await chart.locator('img').evaluate((each) => each.clientWidth)).toBe(600);
    await page.close();
  });

  it('finds guides before results and the API', { timeout: 60_000 }, async () => {
    const { page } = await open({ viewport: { width: 1440, height: 900 } });
    await page.goto(`${origin}/server.html`, { waitUntil: 'networkidle' });
    // A key that is pressed before Vue has mounted the page is lost.
    await page.waitForFunction("document.querySelector('#app').__vue_app__ !== undefined");
    await page.keyboard.press('Control+k');
    for (const [query, guide] of [
      ['binary', '/conn.html'],
      ['close', '/error-messages.html'],
      ['compression', '/compression.html'],
      ['error handling', '/error-messages.html'],
      ['login', '/login.html'],
      ['ping', '/conn.html'],
      ['reconnect', '/client.html'],
      ['rooms', '/rooms.html'],
      ['send json', '/error-messages.html'],
      ['timeout', '/error-messages.html'],
    ] as const) {
      await page.locator('#localsearch-input').fill(query);
      await page.locator(`#localsearch-list > :first-child a[href^="${guide}#"]`).waitFor();
    }
    await page.close();
  });

  it('has one main landmark, on a new page and after the way back', async () => {
    const { page } = await open({ viewport: { width: 1440, height: 900 } });
    await page.goto(`${origin}/`, { waitUntil: 'networkidle' });
    await page.getByRole('link', { name: 'Start a server' }).click();
    await page.getByRole('heading', { level: 1, name: 'How do you serve' }).waitFor();
    expect(await page.getByRole('main').count()).toBe(1);
    await page.goBack();
    await page.getByRole('heading', { level: 1, name: '@ws' }).waitFor();
    expect(await page.getByRole('main').count()).toBe(1);
    await page.close();
  });

  /** Opens a page. `errors` lists the files that were not found and the errors of scripts. */
  async function open(options: BrowserContextOptions): Promise<{ page: Page; errors: string[] }> {
    const page = await browser.newPage(options);
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('response', (response) => {
      if (!response.ok()) errors.push(`${response.status()}: ${response.url()}`);
    });
    return { page, errors };
  }
});

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
};

function sendFile({ url }: IncomingMessage, response: ServerResponse): void {
  const path = decodeURIComponent(new URL(url!, 'http://site').pathname);
  const file = join(site, path.endsWith('/') ? `${path}index.html` : path);
  if (!existsSync(file)) {
    response.writeHead(404).end();
    return;
  }
  const type = TYPES[extname(file)];
  response.writeHead(200, {
    ...(type !== undefined && { 'Content-Type': type }),
    'Cache-Control': 'max-age=3600',
  });
  response.end(readFileSync(file));
}

/** Words in tables that stand on more than one line: a column that became too narrow for them. */
const CUT_WORDS = `[...document.querySelectorAll('.vp-doc :is(td, th)')].flatMap((cell) => {
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  const cut = [];
  for (let text = texts.nextNode(); text !== null; text = texts.nextNode()) {
    for (const { index, 0: word } of text.data.matchAll(/\\w+/g)) {
      const range = document.createRange();
      range.setStart(text, index);
      range.setEnd(text, index + word.length);
      if (range.getClientRects().length > 1) cut.push(word);
    }
  }
  return cut;
})`;

const SERIOUS = ['serious', 'critical'];
/** The default theme's own, which no style mends. */
const OF_VITEPRESS = [
  // The button that searches is called Search, and shows its shortcut beside that.
  'label-content-name-mismatch',
  // A group of the sidebar opens by a click anywhere on its line, and has a button in it for the
  // keyboard.
  'nested-interactive',
];

/** What else axe calls serious or critical. */
async function faults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>('axe.run()');
  return violations
    .filter(({ id, impact }) => !OF_VITEPRESS.includes(id) && SERIOUS.includes(impact ?? ''))
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}
