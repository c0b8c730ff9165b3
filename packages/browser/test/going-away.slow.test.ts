// What ends the connections of a page that stays: in Firefox with 1001, in Chromium nothing does.
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { lacksFirefox, launchFirefox } from '@ws/tests/firefox';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lacksStandalone, type Site, startSite, until } from './page-site.ts';

interface TestPage {
  goto(url: string): Promise<unknown>;
  evaluate(script: string): Promise<unknown>;
  close(): Promise<void>;
}

interface TestBrowser {
  newPage(): Promise<TestPage>;
  close(): Promise<void>;
}

const click = (path: string): string => `
  const link = document.createElement('a');
  link.href = '${path}';
  document.body.append(link);
  link.click();`;

const ACTS: Readonly<Record<string, string>> = {
  'window.stop()': 'window.stop();',
  'a click on a download': click('/file'),
  'a link that is answered with 204': click('/no-content'),
};

const BROWSERS = [
  { name: 'Firefox', ends: true, lacks: lacksFirefox, launch: launchFirefox },
  { name: 'Chromium', ends: false, lacks: lacksChromium, launch: launchHeadlessShell },
];

const unbuilt = lacksStandalone();

describe.each(BROWSERS)('P4 a page in $name that stays', ({ ends, lacks, launch }) => {
  describe.skipIf(unbuilt || lacks())('', () => {
    let browser: TestBrowser;
    let site: Site;
    let page: TestPage;

    beforeAll(async () => {
      browser = await launch();
    });
    afterAll(() => browser?.close());
    beforeEach(async () => {
      site = await startSite();
      page = await browser.newPage();
      await page.goto(site.url);
      await page.evaluate(`(async () => {
        const { dial, ReconnectingConn } = await import('/standalone.js');
        globalThis.texts = [];
        globalThis.events = [];
        globalThis.again = [];
        globalThis.conn = await dial('/echo');
        const loop = async () => {
          for await (const message of conn) texts.push(message.text());
        };
        void loop().then(
          () => { globalThis.end = 'done'; },
          (error) => { globalThis.end = error.name + ' ' + error.closeCode; },
        );
        globalThis.live = new ReconnectingConn('/echo', { minDelay: 20, maxDelay: 100 });
        live.on('open', () => events.push('open'));
        live.on('close', ({ code }) => events.push(code));
        void live.receive((message) => { again.push(message.text()); });
        await Promise.all([conn.send('before'), live.send('before')]);
      })()`);
      await until(page, 'texts.length === 1 && again.length === 1');
    });
    afterEach(async () => {
      await page.close();
      await site.server.close({ timeout: 100 });
    });

    it.each(Object.keys(ACTS))(
      'reports each end, and has its feed again, after %s',
      async (act) => {
        const asked = site.asked;
        // Later, so that the driver does not wait for a navigation.
        await page.evaluate(`void setTimeout(() => { ${ACTS[act]} })`);
        if (act !== 'window.stop()') await expect.poll(() => site.asked).toBeGreaterThan(asked);
        if (ends) {
          await until(page, 'globalThis.end !== undefined && events.length === 3');
          expect(
            await page.evaluate(`conn.closed.then(({ code, wasClean, error }) =>
            [end, texts, code, wasClean, error.name, events])`),
          ).toEqual([
            'CloseError 1001',
            ['before'],
            1001,
            true,
            'CloseError',
            ['open', 1001, 'open'],
          ]);
        } else await page.evaluate('conn.send("after").then(() => {})');
        await page.evaluate('live.send("after").then(() => {})');
        await until(page, 'again.length === 2');
        if (!ends) {
          await until(page, 'texts.length === 2');
          expect(await page.evaluate('events')).toEqual(['open']);
        }
      },
    );
  });
});
