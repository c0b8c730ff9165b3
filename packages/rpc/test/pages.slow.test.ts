// A contract in a page: Chromium with both of its classes, and Firefox.
import { serve, type WsServer } from '@ws/node-server';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { lacksFirefox, launchFirefox } from '@ws/tests/firefox';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle } from '../../fetch/test/runtimes.ts';
import { chat } from './program/contract.mjs';

interface TestBrowser {
  newPage(): Promise<{
    goto(url: string): Promise<unknown>;
    evaluate(script: string): Promise<unknown>;
  }>;
  close(): Promise<void>;
}

const BROWSERS = [
  { name: 'Chromium', lacks: lacksChromium, launch: launchHeadlessShell },
  { name: 'Firefox', lacks: lacksFirefox, launch: launchFirefox },
];

describe.each(BROWSERS)('a contract in a page of $name', ({ lacks, launch }) => {
  describe.skipIf(lacks())('', () => {
    let browser: TestBrowser;
    let server: WsServer;
    let page: Awaited<ReturnType<TestBrowser['newPage']>>;

    beforeAll(async () => {
      const script = await bundle(`${import.meta.dirname}/program/page.mjs`, ['browser']);
      server = await serve(
        {
          host: '127.0.0.1',
          request: (request, response) => {
            const isScript = request.url === '/page.js';
            response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html');
            response.end(isScript ? script : '<!doctype html><script src="/page.js"></script>');
          },
        },
        {
          '/live': chat.serve({
            say: ({ text }, { peer }) => {
              void peer.typed({ room: text });
              return { user: 'page', text };
            },
            ask: (_, { peer }) => peer.confirm({ question: 'sure?' }),
            fail: () => undefined,
            slow: () => new Promise(() => {}),
            aborted: () => 0,
            async *count({ to, pad }) {
              for (let n = 0; n < to; n++) yield { n, pad: 'x'.repeat(pad) };
            },
            sum: async ({ count }, { peer }) => {
              let sum = 0;
              for await (const n of peer.frames({ count })) sum += n;
              return sum;
            },
            typing: () => undefined,
          }),
        },
      );
      browser = await launch();
      page = await browser.newPage();
      await page.goto(server.url.replace('ws:', 'http:'));
    });
    afterAll(async () => {
      await browser?.close();
      await server.close({ timeout: 100 });
    });

    const run = (body: string): Promise<unknown> =>
      page.evaluate(`(async () => {
        const { chat, dial, handlers, ReconnectingConn, RpcError, typed } = globalThis.rpc;
        ${body}
      })()`);

    it('asks and answers by dial', async () => {
      const result = await run(`
        const conn = await dial('/live');
        const peer = chat.connect(conn, handlers);
        typed.length = 0;
        const said = await peer.say({ text: 'hi' });
        const yes = await peer.ask();
        const timeout = await peer.slow(undefined, { timeout: 20 }).catch((error) => error.name);
        await conn.close();
        const late = await peer.ask().catch((error) => error.closeCode);
        return { said, yes, timeout, late, typed };`);
      expect(result).toEqual({
        said: { user: 'page', text: 'hi' },
        yes: true,
        timeout: 'TimeoutError',
        late: 1000,
        typed: ['hi'],
      });
    });

    it('streams in both directions, and stops', async () => {
      const result = await run(`
        const live = new ReconnectingConn('/live');
        const peer = chat.connect(live, handlers);
        const all = [];
        for await (const { n } of peer.count({ to: 500, pad: 10 })) all.push(n);
        const sum = await peer.sum({ count: 500 });
        const control = new AbortController();
        let stopped;
        try {
          for await (const { n } of peer.count({ to: 1e9, pad: 2_000 }, { signal: control.signal })) {
            if (n === 200) control.abort(new Error('stopped'));
          }
        } catch (error) {
          stopped = error.message;
        }
        const open = peer.count({ to: 1e9, pad: 0 });
        await open.next();
        await live.close();
        const ended = await (async () => { for await (const _ of open); })().catch((error) => error.name);
        return { count: all.length, last: all.at(-1), sum, stopped, ended };`);
      expect(result).toEqual({
        count: 500,
        last: 499,
        sum: 124_750,
        stopped: 'stopped',
        ended: 'CloseError',
      });
    });

    it('rejects an open call at a break, and goes on over the next connection', async () => {
      const result = await run(`
        const live = new ReconnectingConn('/live', { minDelay: 1, maxDelay: 10 });
        const peer = chat.connect(live, handlers);
        await peer.ask();
        const open = peer.slow().catch((error) => error.name);
        live.conn.terminate();
        const ended = await open;
        const yes = await peer.ask();
        await live.close();
        return { ended, yes };`);
      expect(result).toEqual({ ended: 'CloseError', yes: true });
    });
  });
});
