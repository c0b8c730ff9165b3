// What happens to a connection when a page sleeps, loses its network, or is left.
import {
  type Browser,
  type BrowserContext,
  lacksChromium,
  launchChromium,
  type Page,
} from '@ws/tests/chromium';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
} from 'vitest';
import { lacksStandalone, type Site, startSite, until } from './page-site.ts';

/** A client whose waits are longer than a test. */
const LIVE = `
  globalThis.events = [];
  globalThis.live = new ws.ReconnectingConn('/echo', { minDelay: 100_000, maxDelay: 100_000 });
  live.on('open', () => events.push('open'));
  live.on('close', ({ code }) => events.push(code));
  void live.receive(() => {});
  await live.send('hello');`;

describe.skipIf(lacksStandalone() || lacksChromium())('a page', () => {
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let site: Site;

  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    site = await startSite();
    context = await browser.newContext();
    page = await context.newPage();
    await page.goto(site.url);
  });
  afterEach(async () => {
    await context.close();
    await site.server.close({ timeout: 100 });
  });

  const run = <T>(body: string): Promise<T> =>
    page.evaluate(`(async () => {
      const ws = await import('/standalone.js');
      ${body}
    })()`);

  async function breakConnections(): Promise<void> {
    for (const conn of site.server.connections) conn.terminate();
    await until(page, "live.state === 'waiting'");
  }

  it('that is online again dials at once', async () => {
    await run(LIVE);
    await context.setOffline(true);
    await breakConnections();
    await context.setOffline(false);
    await until(page, "live.state === 'open'");
    expect(await page.evaluate('events')).toEqual(['open', 1006, 'open']);
  });

  it('that becomes visible dials at once', async () => {
    await run(LIVE);
    await breakConnections();
    // Headless pages are always visible, and the clock need not wait.
    await page.evaluate(`(() => {
      const show = (state) => {
        Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      };
      show('hidden');
      const { now } = Date;
      Date.now = () => now() + 2_000;
      show('visible');
    })()`);
    await until(page, "live.state === 'open'");
    expect(await page.evaluate('events')).toEqual(['open', 1006, 'open']);
  });

  it('that was frozen reads every message in order', async () => {
    await run(`
      globalThis.texts = [];
      const conn = globalThis.conn = await ws.dial('/echo');
      void conn.receive((message) => { texts.push(message.text()); });`);
    const session = await context.newCDPSession(page);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    const [conn] = site.server.connections;
    for (let i = 0; i < 1000; i++) await conn!.send(String(i));
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    await until(page, 'texts.length === 1000');
    expect(await page.evaluate('texts.every((text, i) => text === String(i))')).toBe(true);
    expect(await page.evaluate('conn.state')).toBe('open');
  });

  it('that is left ends its connection, and connects again when it is back', async () => {
    await run(`
      globalThis.conn = await ws.dial('/echo');
      await conn.send('hello');
      await conn.readMessage();`);
    await page.goto('about:blank');
    expect(await site.nextEnd()).toMatchObject({ code: 1001, wasClean: true });
    await page.goBack();
    // A page of the back/forward cache still has its connection, which has ended.
    await run(`
      if (globalThis.conn) await conn.closed;
      const again = await ws.dial('/echo');
      await again.send('hello');
      await again.readMessage();
      await again.close();`);
    expect(await site.nextEnd()).toMatchObject({ code: 1000, wasClean: true });
  });

  it('that is back from the back/forward cache dials at once', async () => {
    const caching = await launchChromium(['--disable-back-forward-cache']);
    onTestFinished(() => caching.close());
    page = await caching.newPage();
    await page.goto(site.url);
    await run(`
      globalThis.restored = false;
      addEventListener('pageshow', ({ persisted }) => { restored = persisted; });
      ${LIVE}`);
    await page.goto('about:blank');
    // `goBack` waits for a load, which a page of the cache does not have.
    const back = page.waitForEvent('framenavigated');
    // The navigation may end the evaluation before its answer.
    await page.evaluate('history.back()').catch(() => {});
    await back;
    await until(page, "live.state === 'open' && events.length === 3");
    expect(await page.evaluate('[restored, events]')).toEqual([true, ['open', 1006, 'open']]);
  });
});
