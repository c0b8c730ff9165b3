// @ws/browser in real browsers, as a page without a bundler loads it, under a strict policy.
import { ownPort } from '@ws/tests';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { lacksFirefox, launchFirefox } from '@ws/tests/firefox';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lacksStandalone, type Site, startSite, until } from './page-site.ts';

const unbuilt = lacksStandalone();

/** What both drivers have. */
interface TestPage {
  goto(url: string): Promise<unknown>;
  evaluate(script: string): Promise<unknown>;
  on(event: 'pageerror', listener: (error: unknown) => void): unknown;
  close(): Promise<void>;
}

/** A browser, and how it opens a page in a new context. */
interface TestBrowser {
  newPage(): Promise<TestPage>;
  close(): Promise<void>;
}

const BROWSERS = [
  { name: 'Chromium', lacks: lacksChromium, launch: launchHeadlessShell },
  { name: 'Firefox', lacks: lacksFirefox, launch: launchFirefox },
];

describe.each(BROWSERS)('a page in $name', ({ lacks, launch }) => {
  describe.skipIf(unbuilt || lacks())('', () => {
    let browser: TestBrowser;
    let site: Site;
    let page: TestPage;
    const errors: string[] = [];

    beforeAll(async () => {
      browser = await launch();
      page = await browser.newPage();
      page.on('pageerror', (error) => {
        // Firefox reports each connection that the policy forbids, at any time.
        if (!String(error).startsWith('Error: Content-Security-Policy')) errors.push(String(error));
      });
    });
    afterAll(() => browser?.close());
    beforeEach(async () => {
      site = await startSite();
      await page.goto(site.url);
    });
    afterEach(async () => {
      await site.server.close({ timeout: 100 });
      expect(errors.splice(0)).toEqual([]);
    });

    /** Runs the body of an async function in the page. */
    const run = async <T>(body: string): Promise<T> =>
      (await page.evaluate(`(async () => {
        const ws = await import('/standalone.js');
        const { dial } = ws;
        const rejection = (promise) => promise.then(() => { throw new Error('resolved'); }, (error) => error);
        ${body}
      })()`)) as T;

    it('echoes messages of every size and kind', async () => {
      const sizes = [0, 1, 125, 126, 65_535, 65_536, 1_000_000];
      const wrong = await run(`
        const conn = await dial('/echo');
        const wrong = [];
        for (const size of ${JSON.stringify(sizes)}) {
          const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7) & 255);
          const text = 'aé你😀'.repeat(Math.ceil(size / 10));
          for (const data of [bytes, bytes.buffer, text]) {
            await conn.send(data);
            const message = await conn.readMessage({ timeout: 20_000 });
            const same = data === text
              ? message.isText && message.text() === text
              : !message.isText && message.data.length === size && message.data.every((byte, i) => byte === bytes[i]);
            if (!same) wrong.push(size + ' ' + typeof data);
          }
        }
        await conn.send('\\ud800a\\ufeff');
        if ((await conn.readMessage()).text() !== '\\ufffda\\ufeff') wrong.push('surrogates');
        await conn.close();
        return wrong;`);
      expect(wrong).toEqual([]);
    });

    it('reads 10,000 messages in order, by four ways to read', async () => {
      const seen = await run(`
        const seen = [];
        const wrong = async (read) => {
          const conn = await dial('/count/2500');
          let n = 0;
          let bad = 0;
          await read(conn, (message) => { if (message.text() !== String(n++)) bad++; });
          seen.push([n, bad]);
        };
        await wrong((conn, check) => conn.receive(check));
        await wrong((conn, check) => conn.receive(async (message) => { check(message); await null; }));
        await wrong(async (conn, check) => { for await (const message of conn) check(message); });
        await wrong(async (conn, check) => {
          const reader = conn.toStreams().readable.getReader();
          for (;;) {
            const { done, value } = await reader.read();
            if (done) return;
            check({ text: () => value });
          }
        });
        return seen;`);
      expect(seen).toEqual(Array.from({ length: 4 }, () => [2_500, 0]));
    });

    it('sends 10,000 messages in order, with backpressure', async () => {
      const seen = await run(`
        const conn = await dial('/echo', { highWaterMark: 1024 });
        let n = 0;
        let bad = 0;
        const reading = (async () => {
          for await (const message of conn) {
            if (message.text() !== String(n++)) bad++;
            if (n === 10_000) break;
          }
        })();
        for (let i = 0; i < 10_000; i++) await conn.send(String(i));
        await reading;
        await conn.close();
        return [n, bad];`);
      expect(seen).toEqual([10_000, 0]);
    });

    it('closes with codes of pages', async () => {
      for (const code of [1000, 3000, 4999]) {
        const info = await run(`
          const conn = await dial('/echo');
          await conn.send('last');
          return conn.close(${code}, 'of the page');`);
        expect(info).toMatchObject({ code, wasClean: true });
        expect(await site.nextEnd()).toMatchObject({ code, reason: 'of the page', wasClean: true });
      }
    });

    it('reports the close codes of the server', async () => {
      for (const code of [1000, 1001, 1008, 1011, 1013, 3000, 4999]) {
        const info = await run(`return (await dial('/close/${code}')).closed;`);
        // 1001 is a break, with an error: Firefox ends the connections of a page with it.
        const end = { code, reason: 'of the server', wasClean: true };
        expect(info).toEqual(code === 1001 ? { ...end, error: expect.anything() } : end);
      }
    });

    it('rejects what browsers refuse with errors that say so', async () => {
      const messages = await run<string[]>(`
        const conn = await dial('/echo');
        const errors = [
          await rejection(conn.close(1001)),
          await rejection(conn.close(1000, 'x'.repeat(124))),
          await rejection(conn.ping()),
          await rejection(dial('/echo', { headers: {} })),
          await rejection(dial('/echo', { subprotocols: ['a b'] })),
          await rejection(dial('/echo', { subprotocols: ['a', 'a'] })),
          await rejection(dial('ws://')),
          await rejection(dial('ftp://127.0.0.1/')),
          await rejection(dial('/no-such-path?token=secret')),
        ];
        await conn.close();
        errors.push(await rejection(conn.send('late')));
        return errors.map(String);`);
      const expected = [
        'RangeError: close: code other than 1000 in a page: expected a whole number from 3000 to 4999, got 1001',
        'RangeError: close: expected a reason of at most 123 bytes of UTF-8, got 124',
        'UnsupportedError: websocket: ping is not available on this runtime',
        'TypeError: dial: unknown option headers; ',
        'TypeError: dial: ',
        'TypeError: dial: ',
        'SyntaxError: websocket: malformed URL',
        'SyntaxError: websocket: malformed URL: start it with ws:// or wss://',
        'TransportError: websocket: could not connect to ws://127.0.0.1:',
        'CloseSentError: ',
      ];
      for (const [i, text] of expected.entries()) expect(messages[i]).toContain(text);
      expect(messages.join()).not.toContain('secret');
      // The mistakes of `close` are reported.
      // Firefox adds a line about the dial.
      expect(errors.splice(0).slice(0, 2)).toEqual([
        expect.stringContaining('3000 to 4999'),
        expect.stringContaining('got 124'),
      ]);
    });

    it('reports a server that is gone as 1006', async () => {
      const info = await run(`
        const conn = await dial('/gone');
        await conn.send('go');
        const error = await rejection(conn.readMessage());
        const { code, wasClean } = await conn.closed;
        return [error.closeCode, code, wasClean, error.message.includes('network tab')];`);
      expect(info).toEqual([1006, 1006, false, true]);
    });

    it('rejects a dial that the policy of the page forbids, and tries it again', async () => {
      const seen = await run(`
        const error = await rejection(dial('ws://example.invalid/'));
        const live = new ws.ReconnectingConn('ws://example.invalid/', {
          minDelay: 1, retry: (_, { tries }) => tries < 3,
        });
        const end = await live.closed;
        return [error.name, end.error.name, error.message];`);
      expect(seen).toEqual([
        'TransportError',
        'TransportError',
        expect.stringContaining('could not connect to ws://example.invalid/'),
      ]);
    });

    it('echoes 4 MiB of bytes and of text', async () => {
      const same = await run(`
        const conn = await dial('/echo');
        const bytes = new Uint8Array(4 * 2 ** 20).map((_, i) => i * 7);
        await conn.send(bytes);
        const { data } = await conn.readMessage({ timeout: 40_000 });
        const text = 'aé你😀'.repeat(4 * 2 ** 20 / 10);
        await conn.send(text);
        const back = (await conn.readMessage({ timeout: 40_000 })).text();
        const { bytesOut, bytesIn } = conn.stats;
        await conn.close();
        return [data.length, data.every((byte, i) => byte === bytes[i]), back === text, bytesOut === bytesIn];`);
      expect(same).toEqual([4 * 2 ** 20, true, true, true]);
    });

    it('closes for a message over readLimit', async () => {
      const seen = await run(`
        const conn = await dial('/echo', { readLimit: 1000 });
        await conn.send('x'.repeat(1001));
        const error = await rejection(conn.readMessage());
        const { code } = await conn.closed;
        return [error.name, code];`);
      expect(seen).toEqual(['ReadLimitError', 3009]);
      expect(await site.nextEnd()).toMatchObject({ code: 3009 });
    });

    it('delivers no message after close() with discard', async () => {
      const seen = await run(`
        const conn = await dial('/count/1000');
        let n = 0;
        void conn.receive(() => { n++; }).catch(() => {});
        while (n < 5) await new Promise((resolve) => setTimeout(resolve, 1));
        const closing = conn.close(4000, '', { discard: true });
        const atClose = n;
        const { code } = await closing;
        return [n === atClose, [1000, 4000].includes(code)];`);
      expect(seen).toEqual([true, true]);
    });

    it('dials again when its server restarts', async () => {
      await site.server.close({ timeout: 100 });
      const port = await ownPort();
      site = await startSite(port);
      await page.goto(site.url);
      await run(`
        const live = globalThis.live = new ws.ReconnectingConn('/echo', {
          minDelay: 50, maxDelay: 100,
        });
        globalThis.events = [];
        live.on('open', () => events.push('open'));
        live.on('close', ({ code }) => events.push(code));
        globalThis.texts = [];
        void live.receive((message) => { texts.push(message.text()); });
        await live.send('first');`);
      await until(page, 'texts.length === 1');
      await site.server.close({ timeout: 1000 });
      await until(page, "live.state !== 'open'");
      const sent = run('await live.send("second");');
      site = await startSite(port);
      await sent;
      await until(page, 'texts.length === 2');
      expect(await page.evaluate('[texts, events]')).toEqual([
        ['first', 'second'],
        ['open', 1001, 'open'],
      ]);
      await page.evaluate('live.close().then(() => {})');
      // The browser reports each dial that has failed.
      errors.length = 0;
    });

    it('closes with 3008 when it does not read, and names the bound', async () => {
      const seen = await run(`
        const conn = await dial('/burst', { maxQueuedBytes: 2 ** 20 });
        const { code, error } = await conn.closed;
        let n = 0;
        for (;;) {
          try { await conn.readMessage(); n++; } catch (end) { return [code, error.name, end === error, n]; }
        }`);
      expect(seen).toEqual([3008, 'BackpressureError', true, 15]);
    });

    it('with resend gets the acknowledgement after more than the bounds, for a handler that awaits send', async () => {
      const seen = await run(`
        const live = new ws.ReconnectingConn('/ask', {
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
        return result;`);
      expect(seen).toEqual([[3, 2 ** 20, 2 ** 20, 5], 0]);
    });

    it('with resend loses no message over connections that break', async () => {
      const seen = await run(`
        let opened = 0;
        const live = new ws.ReconnectingConn('/orders', {
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
        for (let i = 0; i < 300; i++) {
          waiting.push(live.send(i + ':' + 'x'.repeat(100)));
          if (i % 40 === 39) await Promise.all(waiting);
        }
        await Promise.all(waiting);
        const { unsent } = await live.close();
        return [unsent.length, opened > 5];`);
      expect(seen).toEqual([0, true]);
      expect(site.orders.size).toBe(300);
      // Those that were handled before a connection broke came again.
      expect([...site.orders.values()].some((times) => times > 1)).toBe(true);
      // Firefox reports each connection that breaks.
      errors.length = 0;
    });
  });
});
