import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { lacksDaemon, nothingLeft, selfSigned, whenOver } from '@ws/tests';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { type ProxyName, startReverseProxy } from '@ws/tests/examples';
import { describe, expect, it } from 'vitest';
import { page, SEEN, visit, wsEcho } from './page.ts';
import { front } from './support.ts';

describe.skipIf(lacksChromium())('Chromium through a proxy to ws', () => {
  nothingLeft();

  it('passes compressed messages and close codes, also over wss and two proxies', async () => {
    const browser = await launchHeadlessShell();
    whenOver(() => browser.close());
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const tab = await context.newPage();
    await tab.goto(await page());
    const inner = await front(await wsEcho(), {}, true);
    const { cert } = await selfSigned();
    const outer = await front([{ url: inner.url, tls: { ca: cert } }]);
    expect(await tab.evaluate(visit(outer.url))).toEqual(SEEN);
    expect(await tab.evaluate(visit(inner.url))).toEqual(SEEN);
  });
});

for (const name of ['nginx', 'haproxy'] satisfies ProxyName[]) {
  describe.skipIf(lacksDaemon(name))(`${name} before and behind a proxy`, () => {
    nothingLeft();

    it.each(['before', 'behind'] as const)('%s', async (place) => {
      const addresses: unknown[] = [];
      const server = await serve({ port: 0, host: '127.0.0.1', readLimit: false }, (conn, req) => {
        addresses.push(req.headers['x-forwarded-for']);
        return conn.receive((message) => conn.send(message));
      });
      whenOver(() => server.close({ timeout: 1 }));
      const portOf = (url: string): number => Number(new URL(url).port);
      const headers = { 'X-Forwarded-For': '203.0.113.7' };
      let url: string;
      if (place === 'before') {
        const between = await front(server.url, { trust: () => true });
        const daemon = await startReverseProxy(name, between.port);
        whenOver(() => daemon.close());
        url = `ws://${daemon.host}`;
      } else {
        const daemon = await startReverseProxy(name, portOf(server.url));
        whenOver(() => daemon.close());
        url = (await front(`ws://${daemon.host}`)).url;
      }
      const conn = await dial(url, { headers });
      const bytes = new Uint8Array(1_000_000).map((_, i) => i % 251);
      const sent = conn.send(bytes);
      expect(Buffer.compare((await conn.readMessage()).data, bytes)).toBe(0);
      await sent;
      expect(await conn.close(4001, 'done')).toMatchObject({ code: 4001, wasClean: true });
      // The claim of the client has not come through.
      expect(String(addresses[0])).not.toContain('203.0.113.7');
    });
  });
}
