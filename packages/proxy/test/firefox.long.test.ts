import { nothingLeft, whenOver } from '@ws/tests';
import { lacksFirefox, launchFirefox } from '@ws/tests/firefox';
import { describe, expect, it } from 'vitest';
import { page, SEEN, visit, wsEcho } from './page.ts';
import { front } from './support.ts';

describe.skipIf(lacksFirefox())('Firefox through a proxy to ws', () => {
  nothingLeft();

  it('passes compressed messages and close codes', async () => {
    const browser = await launchFirefox();
    whenOver(() => browser.close());
    const tab = await browser.newPage();
    await tab.goto(await page());
    const between = await front(await wsEcho());
    expect(await tab.evaluate(visit(between.url))).toEqual(SEEN);
  });
});
