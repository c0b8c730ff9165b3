import { join } from 'node:path';
import process from 'node:process';
import { runClientSuite } from '@ws/conformance';
import { lacksChromium } from '@ws/tests/chromium';
import { LOADER } from '@ws/tests/loader';
import { describe, expect, it } from 'vitest';
import { lacksStandalone } from './page-site.ts';

/** Chapters without UTF-8, limits and performance; `pnpm long browser` sets BROWSER_CASES for more. */
const CASES = (process.env['BROWSER_CASES'] ?? '1.*,2.*,5.*,7.*').split(',');

/**
 * Chromium's own differences, which its WebSocket has without this package too: it accepts close
 * codes below 1000, and answers a close frame before the page has answered the message before it.
 */
const OF_CHROMIUM = [/^7\.6\.[1-8]$/, /^7\.7\.[1-8]$/, /^7\.17\.2$/];

describe.skipIf(lacksStandalone() || lacksChromium())('a page as the client of ws-conform', () => {
  it('passes the cases of a client', { timeout: 300_000 }, async () => {
    const page = join(import.meta.dirname, 'conformance-page.ts');
    const node = [process.execPath, ...LOADER];
    const { results } = await runClientSuite([...node, page, 'ours'], {
      only: CASES,
      timeout: 20_000,
    });
    const failed = results.filter(
      ({ verdict, id }) => verdict === 'fail' && !OF_CHROMIUM.some((known) => known.test(id)),
    );
    expect(failed.map(({ id, because }) => [id, because])).toEqual([]);
    const judged = results.filter(({ verdict }) => verdict !== 'skipped');
    expect(judged.length).toBeGreaterThan(100);
  });
});
