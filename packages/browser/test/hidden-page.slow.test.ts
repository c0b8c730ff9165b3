// Writes of a page that its user does not see: browsers throttle its timers to one a second.
import { lacksChromium, launchChromiumTabs, type TabBrowser } from '@ws/tests/chromium';
import { lacksFirefox, launchFirefox } from '@ws/tests/firefox';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lacksStandalone, type Site, startSite, until } from './page-site.ts';

const MIB = 2 ** 20;
const PART = 64 * 1024;
const BROWSERS = [
  { name: 'Chromium', lacks: lacksChromium, launch: launchChromiumTabs },
  { name: 'Firefox', lacks: lacksFirefox, launch: launchFirefox },
];
const unbuilt = lacksStandalone();

describe.each(BROWSERS)('a hidden page in $name', ({ lacks, launch }) => {
  describe.skipIf(unbuilt || lacks())('', () => {
    let browser: TabBrowser;
    let site: Site;

    beforeAll(async () => {
      site = await startSite();
      browser = await launch();
    });
    afterAll(async () => {
      await browser?.close();
      await site.server.close({ timeout: 100 });
    });

    it('waits for its writes without a timer', async () => {
      const page = await browser.newPage();
      await page.goto(site.url);
      const shown = await browser.newPage();
      await shown.bringToFront();
      await until(page, 'document.hidden');
      const seen = await page.evaluate(`(async () => {
        const { dial } = await import('/standalone.js');
        const conn = await dial('/read/${MIB}');
        let timers = 0;
        const { setTimeout } = globalThis;
        globalThis.setTimeout = (...args) => { timers++; return setTimeout(...args); };
        // No wait is longer than 20 ms on this clock, however busy the machine is.
        performance.now = () => 0;
        let waits = 0;
        for (let sent = 0; sent < ${MIB}; sent += ${PART}) {
          const sending = conn.send(new Uint8Array(${PART}));
          if (conn.bufferedAmount >= ${PART}) waits++;
          await sending;
        }
        const answer = (await conn.readMessage()).text();
        await conn.close();
        return [answer, document.hidden, waits, timers];
      })()`);
      // The timer is that of the close.
      expect(seen).toEqual(['all', true, MIB / PART, 1]);
    });
  });
});
