// The option `alive` in pages whose server is stopped: its connections stay open, and say nothing.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect as connectTCP, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { lacksChromium, launchChromiumTabs, type TabBrowser } from '@ws/tests/chromium';
import { lacksFirefox, launchFirefox } from '@ws/tests/firefox';
import { LOADER } from '@ws/tests/loader';
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
import { lacksStandalone, until } from './page-site.ts';

const BROWSERS = [
  { name: 'Chromium', lacks: lacksChromium, launch: launchChromiumTabs },
  { name: 'Firefox', lacks: lacksFirefox, launch: launchFirefox },
];
const unbuilt = lacksStandalone();

/** A way to a port on which the bytes of the client pass at `rate` per second. */
async function slowWay(port: number, rate: number): Promise<Server> {
  const way = createServer((client) => {
    const server = connectTCP(port, '127.0.0.1');
    server.pipe(client);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.on('error', () => other.destroy()).on('close', () => other.destroy());
    }
    client.on('data', (chunk) => {
      server.write(chunk);
      if (chunk.length < 3_000) return;
      client.pause();
      setTimeout(() => client.resume(), (chunk.length / rate) * 1_000);
    });
  });
  way.listen(0, '127.0.0.1');
  await once(way, 'listening');
  return way;
}

type Page = Awaited<ReturnType<TabBrowser['newPage']>>;

describe.each(BROWSERS)('the option alive in $name', ({ name, lacks, launch }) => {
  describe.skipIf(unbuilt || lacks())('', () => {
    let browser: TabBrowser;
    let page: Page;
    let server: ChildProcess;
    let url: string;

    beforeAll(async () => {
      browser = await launch();
    });
    afterAll(() => browser?.close());
    beforeEach(async () => {
      const program = join(import.meta.dirname, 'site-process.ts');
      server = spawn(process.execPath, [...LOADER, program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = (await once(server.stdout!, 'data')) as [Buffer];
      url = line.toString().trim();
      page = await browser.newPage();
      await page.goto(url);
    });
    afterEach(async () => {
      await page.close();
      server.kill('SIGKILL');
    });

    /** Connects with these times, in ms. `events` of the page gets what happens. */
    async function connect(after: number, timeout: number): Promise<void> {
      await page.evaluate(`(async () => {
        const { ReconnectingConn, TimeoutError } = await import('/standalone.js');
        globalThis.events = [];
        globalThis.asked = 0;
        globalThis.live = new ReconnectingConn('/echo', {
          minDelay: 1,
          maxDelay: 5,
          alive: {
            ask: () => { asked++; return 'are you there?'; },
            answer: (message) => message.text() === 'are you there?',
            after: ${after},
            timeout: ${timeout},
          },
        });
        globalThis.texts = [];
        void live.receive((message) => { texts.push(message.text()); });
        live.on('open', (conn) => {
          events.push('open');
          void conn.closed.then(({ code, error }) =>
            events.push(code, error instanceof TimeoutError ? error.message : String(error)));
        });
        await live.send('hello');
      })()`);
      await until(page, "texts.includes('hello')");
    }

    const LOST = (timeout: number): unknown[] => [
      'open',
      1006,
      `websocket: no message of the peer within ${timeout} ms of a question (option alive)`,
    ];

    it('finds a server that is stopped, and dials when it continues', async () => {
      await connect(200, 3_000);
      await until(page, 'asked > 2');
      expect(await page.evaluate('events')).toEqual(['open']);
      server.kill('SIGSTOP');
      await until(page, 'events.length > 1');
      expect(await page.evaluate('events.slice(0, 3)')).toEqual(LOST(3_000));
      server.kill('SIGCONT');
      await until(page, "live.state === 'open'");
      await page.evaluate("live.send('again')");
      await until(page, "texts.includes('again')");
      expect(await page.evaluate('texts')).toEqual(['hello', 'again']);
    });

    it.runIf(name === 'Chromium')('waits while a message leaves slowly', async () => {
      // 8 MiB in 4 s.
      const way = await slowWay(Number(new URL(url).port), 2 * 2 ** 20);
      onTestFinished(() => void way.close());
      await page.goto(`http://127.0.0.1:${(way.address() as AddressInfo).port}/`);
      // Less than the message takes, and enough for a machine that is late.
      await connect(300, 3_000);
      await page.evaluate("void live.send('x'.repeat(8 * 2 ** 20)).catch(() => {})");
      await until(page, 'texts.some((text) => text.length > 1_000_000)');
      expect(await page.evaluate('events')).toEqual(['open']);
    });

    // Headless pages do not lose their network, and are not frozen while they are visible.
    it.each(['dispatchEvent', 'document.dispatchEvent'])(
      'asks when the page wakes: %s',
      async (dispatch) => {
        await connect(3_600_000, 1_000);
        server.kill('SIGSTOP');
        const event = dispatch === 'dispatchEvent' ? 'online' : 'resume';
        await page.evaluate(`${dispatch}(new Event('${event}'))`);
        await until(page, 'events.length > 1');
        expect(await page.evaluate('events.slice(0, 3)')).toEqual(LOST(1_000));
      },
    );

    // Chromium itself ends the connection of a page that it has frozen while it is hidden.
    it.runIf(name === 'Chromium')('finds a server that is stopped during a freeze', async () => {
      await connect(3_600_000, 1_000);
      const session = await page.createCDPSession();
      await session.send('Page.setWebLifecycleState', { state: 'frozen' });
      server.kill('SIGSTOP');
      await session.send('Page.setWebLifecycleState', { state: 'active' });
      await until(page, 'events.length > 1');
      expect(await page.evaluate('events.slice(0, 2)')).toEqual(['open', 1006]);
    });

    it('keeps the connection of a hidden page, whose timers are late', async () => {
      await connect(200, 2_000);
      const shown = await browser.newPage();
      await shown.bringToFront();
      await until(page, 'document.hidden');
      await page.evaluate('globalThis.before = asked');
      // Timers of a hidden page are late by up to a second. Here some are late by three.
      await page.evaluate(`{
        const { setTimeout: real } = globalThis;
        let n = 0;
        globalThis.setTimeout = (call, ms, ...rest) =>
          real(call, n++ % 4 === 3 ? Math.max(ms, 3_000) : ms, ...rest);
      }`);
      await until(page, 'asked > before + 8');
      expect(await page.evaluate('events')).toEqual(['open']);
      await shown.close();
    });
  });
});
