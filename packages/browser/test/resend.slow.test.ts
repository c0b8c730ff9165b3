// The option `resend` in a page whose connection breaks again and again.
import { lacksChromium, launchChromium } from '@ws/tests/chromium';
import { lacksFirefox, launchFirefox } from '@ws/tests/firefox';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lacksStandalone, type Site, startSite } from './page-site.ts';

const COUNT = 300;
const BROWSERS = [
  { name: 'Chromium', lacks: lacksChromium, launch: launchChromium },
  { name: 'Firefox', lacks: lacksFirefox, launch: launchFirefox },
];
const unbuilt = lacksStandalone();

/** What both drivers have. */
interface TestBrowser {
  newPage(): Promise<{
    goto(url: string): Promise<unknown>;
    evaluate(script: string): Promise<unknown>;
  }>;
  close(): Promise<void>;
}

describe.each(BROWSERS)('a page in $name', ({ lacks, launch }) => {
  describe.skipIf(unbuilt || lacks())('', () => {
    let browser: TestBrowser;
    let site: Site;

    beforeAll(async () => {
      site = await startSite();
      browser = await launch();
    });
    afterAll(async () => {
      await browser?.close();
      await site.server.close({ timeout: 100 });
    });

    it('gets the acknowledgement after more than the bounds, for a handler that awaits send', async () => {
      const page = await browser.newPage();
      await page.goto(site.url);
      const seen = await page.evaluate(`(async () => {
        const { ReconnectingConn } = await import('/standalone.js');
        const live = new ReconnectingConn('/ask', {
          resend: {
            id: (data) => data.split(':')[0],
            acknowledged: (message) =>
              message.isText ? /^ack (.*)/.exec(message.text())?.[1] : undefined,
          },
        });
        const lengths = [];
        let ends = 0;
        live.on('close', () => ends++);
        await new Promise((resolve) => {
          void live.receive(async (message) => {
            if (message.isText && message.text() === 'ask') await live.send('1:answer');
            if (lengths.push(message.length) === 4) resolve();
          });
        });
        const result = [lengths, ends];
        await live.close();
        return result;
      })()`);
      expect(seen).toEqual([[3, 2 ** 20, 2 ** 20, 5], 0]);
    });

    it('loses no message', async () => {
      const page = await browser.newPage();
      await page.goto(site.url);
      const seen = await page.evaluate(`(async () => {
        const { ReconnectingConn } = await import('/standalone.js');
        let opened = 0;
        const live = new ReconnectingConn('/orders', {
          minDelay: 1,
          maxDelay: 20,
          resend: {
            id: (data) => data.split(':')[0],
            acknowledged: (message) => /^ack (.*)/.exec(message.text())?.[1],
            hide: true,
            maxMessages: 50,
          },
        });
        live.on('open', () => opened++);
        const waiting = [];
        for (let i = 0; i < ${COUNT}; i++) {
          waiting.push(live.send(i + ':' + 'x'.repeat(100)));
          if (i % 40 === 39) await Promise.all(waiting);
        }
        await Promise.all(waiting);
        const { unsent } = await live.close();
        return [unsent.length, opened > 5];
      })()`);
      expect(seen).toEqual([0, true]);
      expect(site.orders.size).toBe(COUNT);
      // Those that were handled before a connection broke came again.
      expect([...site.orders.values()].some((times) => times > 1)).toBe(true);
    });
  });
});
