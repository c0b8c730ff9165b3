// Pages and a program send 60 events a second to a server that takes 33. Minutes: the option `alive` has 30 s.
import { ReconnectingConn } from '@ws/browser';
import { serve } from '@ws/node-server';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { lacksFirefox, launchFirefox } from '@ws/tests/firefox';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { bundle } from '../../fetch/test/runtimes.ts';
import { chat } from './program/contract.mjs';

interface TestBrowser {
  newPage(): Promise<{
    goto(url: string): Promise<unknown>;
    evaluate(script: string): Promise<unknown>;
  }>;
  close(): Promise<void>;
}

const SECONDS = 180;
const PER_SECOND = 60;
const EVENTS = SECONDS * PER_SECOND;

/** The program of all clients. */
const PROGRAM = `
  const peer = chat.connect(live, handlers);
  const start = performance.now();
  for (let sent = 0; sent < ${EVENTS}; ) {
    for (; sent < Math.min(${EVENTS}, ((performance.now() - start) / 1000) * ${PER_SECOND}); sent++) {
      void peer.typing({ room: String(sent) });
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }`;

/** A server with a rate, whose handler takes 30 ms. */
async function slowServer() {
  const script = await bundle(`${import.meta.dirname}/program/page.mjs`, ['browser']);
  const handled: number[] = [];
  let running = 0;
  let connections = 0;
  const never = (): never => {
    throw new Error('not called');
  };
  const handlers = { say: never, ask: never, fail: never, slow: never, aborted: never };
  const serveChat = chat.serve({
    ...handlers,
    count: never,
    sum: never,
    async typing({ room }) {
      running++;
      await new Promise((resolve) => setTimeout(resolve, 30));
      handled.push(running === 1 ? Number(room) : NaN);
      running--;
    },
  });
  const server = await serve(
    {
      host: '127.0.0.1',
      rate: { messages: 50 },
      request: (request, response) => {
        const isScript = request.url === '/page.js';
        response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html');
        response.end(isScript ? script : '<!doctype html><script src="/page.js"></script>');
      },
    },
    {
      '/live': (conn) => {
        connections++;
        return serveChat(conn);
      },
    },
  );
  return { server, handled, connections: () => connections };
}

/** Starts the program. Returns a function that ends it. */
async function inNode(url: string): Promise<() => unknown> {
  const live = new ReconnectingConn(`${url}/live`, { WebSocket });
  // oxlint-disable-next-line no-implied-eval -- the same text runs in a page
  const program = new Function('chat', 'handlers', 'live', `return (async () => {${PROGRAM}})()`);
  const handlers = { typed: () => {}, confirm: () => true, async *frames() {} };
  (program as (...given: unknown[]) => void)(chat, handlers, live);
  return () => live.close();
}

const inBrowser = (launch: () => Promise<TestBrowser>) => async (url: string) => {
  const browser = await launch();
  const page = await browser.newPage();
  await page.goto(url.replace('ws:', 'http:'));
  await page.evaluate(`{
    const { chat, handlers, ReconnectingConn } = globalThis.rpc;
    const live = new ReconnectingConn('/live');
    void (async () => {${PROGRAM}})();
  }`);
  return () => browser.close();
};

describe.each([
  { name: 'Node', lacks: () => false, start: inNode },
  { name: 'Chromium', lacks: lacksChromium, start: inBrowser(launchHeadlessShell) },
  { name: 'Firefox', lacks: lacksFirefox, start: inBrowser(launchFirefox) },
])('H2 a client in $name', ({ lacks, start }) => {
  it.skipIf(lacks())(
    'keeps its connection and the order of its events for three minutes',
    { concurrent: true, timeout: 900_000 },
    async () => {
      const { server, handled, connections } = await slowServer();
      const stop = await start(server.url.replace(/\/$/, ''));
      await expect.poll(() => handled.length, { timeout: 800_000, interval: 1_000 }).toBe(EVENTS);
      expect(handled).toEqual(handled.map((_, i) => i));
      expect(connections()).toBe(1);
      await stop();
      await server.close({ timeout: 100 });
    },
  );
});
