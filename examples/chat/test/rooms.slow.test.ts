// A loop over a room in a page whose server stops, whose network is lost, and that is left.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { ReconnectingConn } from '@ws/node-client';
import { roomsOf } from '@ws/rpc/rooms';
import { lacksChromium, launchChromium } from '@ws/tests/chromium';
import { lacksFirefox, launchFirefox } from '@ws/tests/firefox';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Program, startProgram } from './program.ts';

/** What both drivers have. */
interface TestPage {
  goto(url: string): Promise<unknown>;
  evaluate(script: string): Promise<unknown>;
}

const SOON = "{ after: 300, timeout: 1000, ask: () => 'any message' }";

/** A page that notes the keys of messages, and gaps. */
const loopAfter = (since?: unknown, alive = SOON): string => `(async () => {
  const { ReconnectingConn, roomsOf } = await import('/websocket.js');
  globalThis.got = [];
  globalThis.ends = 0;
  globalThis.live2 = new ReconnectingConn('/chat?name=Loop&id=loop', {
    alive: ${alive},
    maxDelay: 200,
  });
  live2.on('close', () => ends++);
  globalThis.rooms2 = roomsOf(live2);
  const since = ${JSON.stringify(since)};
  const loop = rooms2.join('chat/loop', { since });
  void (async () => {
    for await (const m of loop) {
      if (m.kind === 'live') continue;
      globalThis.last = m.position;
      got.push(m.kind === 'message' ? m.data.key : m.kind);
    }
  })();
  if (since) return;
  await rooms2.publish('chat/loop', { key: 'first', text: 'x', at: 1 });
})()`;

/** A relay that can swallow the bytes of its connections, without an end. */
async function startRelay(to: number) {
  const sockets = new Set<Socket>();
  const dead = new Set<Socket>();
  const server = createServer((socket) => {
    const other = connect(to, '127.0.0.1');
    for (const [from, into] of [
      [socket, other],
      [other, socket],
    ] as const) {
      sockets.add(from);
      from.on('error', () => {});
      from.on('data', (data) => dead.has(from) || into.write(data));
      from.on('end', () => dead.has(from) || into.end());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    swallow: () => sockets.forEach((socket) => dead.add(socket)),
    stop: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

describe.each([
  {
    name: 'Chromium',
    lacks: lacksChromium,
    launch: () => launchChromium(['--disable-back-forward-cache']),
  },
  { name: 'Firefox', lacks: lacksFirefox, launch: launchFirefox },
])('a loop over a room in $name', ({ name, lacks, launch }) => {
  describe.skipIf(lacks())('', () => {
    let program: Program;
    let browser: { newPage(): Promise<TestPage>; close(): Promise<void> };
    let page: TestPage;
    let live: ReconnectingConn;
    const sent: string[] = [];

    beforeEach(async () => {
      sent.length = 0;
      program = await startProgram();
      browser = await launch();
      page = await browser.newPage();
      await page.goto(program.url);
      live = new ReconnectingConn(`${program.ws}chat?name=Other`);
      await page.evaluate(loopAfter());
      sent.push('first');
    });
    afterEach(async () => {
      await live.close();
      await browser.close();
      await program.stop();
    });

    const until = (condition: string): Promise<unknown> =>
      page.evaluate(`new Promise((done) => {
        const look = () => (${condition} ? done() : setTimeout(look, 10));
        look();
      })`);

    async function publish(count: number): Promise<void> {
      const rooms = publisher();
      for (let i = 0; i < count; i++) {
        const key = `k${sent.length}`;
        await rooms.publish('chat/loop', { key, text: 'x', at: 1 });
        sent.push(key);
      }
    }

    let known: ReturnType<typeof roomsOf> | undefined;
    let of: ReconnectingConn | undefined;
    function publisher(): ReturnType<typeof roomsOf> {
      if (known === undefined || of !== live) {
        of = live;
        known = roomsOf(live);
        known.join('chat/loop');
      }
      return known;
    }

    async function hasAll(): Promise<void> {
      await until(`got.length >= ${sent.length}`);
      expect(await page.evaluate('got')).toEqual(sent);
    }

    it('misses nothing while the server is stopped', async () => {
      await publish(5);
      await hasAll();
      program.signal('SIGSTOP');
      await until('ends > 0');
      program.signal('SIGCONT');
      await publish(5);
      await page.evaluate("rooms2.publish('chat/loop', { key: 'own', text: 'x', at: 1 })");
      sent.push('own');
      await hasAll();
    });

    it('goes on within 35 s after its bytes are swallowed', async () => {
      const relay = await startRelay(Number(new URL(program.url).port));
      await page.goto(relay.url);
      sent.length = 0;
      await page.evaluate(loopAfter(undefined, 'undefined'));
      sent.push('first');
      await publish(5);
      await hasAll();
      relay.swallow();
      const died = performance.now();
      await publish(5);
      await hasAll();
      expect(performance.now() - died).toBeLessThan(35_000);
      relay.stop();
    });

    it('misses nothing without a network', async () => {
      await publish(5);
      await page.evaluate('dispatchEvent(new Event("offline")); live2.conn.terminate()');
      await publish(20);
      await page.evaluate('dispatchEvent(new Event("online"))');
      await publish(5);
      await hasAll();
    });

    it.runIf(name === 'Chromium')('misses nothing in the back/forward cache', async () => {
      await publish(5);
      await page.goto('about:blank');
      await publish(20);
      await page.evaluate('history.back()').catch(() => {});
      await expect
        .poll(() => page.evaluate('globalThis.got?.length ?? 0').catch(() => 0))
        .toBeGreaterThanOrEqual(sent.length);
      expect(await page.evaluate('got')).toEqual(sent);
    });

    // It keeps a page without a connection: `persisted` is true then.
    it.runIf(name === 'Firefox')(
      'misses nothing after the position that it stored, as no page with a connection is kept',
      async () => {
        await publish(5);
        await hasAll();
        await page.evaluate(`addEventListener('pagehide', ({ persisted }) => {
          sessionStorage.setItem('left', JSON.stringify({ persisted, last }));
        })`);
        await page.goto(`${program.url}websocket.js`);
        await publish(20);
        await page.evaluate('void setTimeout(() => history.back())');
        await expect.poll(() => page.evaluate('location.pathname').catch(() => '')).toBe('/');
        const left = JSON.parse((await page.evaluate("sessionStorage.getItem('left')")) as string);
        expect(left.persisted).toBe(false);
        await page.evaluate(loopAfter(left.last));
        await until('got.length >= 20');
        expect(await page.evaluate('got')).toEqual(sent.slice(-20));
      },
    );
  });
});
