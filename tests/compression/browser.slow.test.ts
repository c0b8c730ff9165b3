import { type Conn } from '@ws/conn';
import { configureCompression } from '@ws/node-io';
import { serve } from '@ws/node-server';
import { type Browser, lacksChromium, launchHeadlessShell, type Page } from '@ws/tests/chromium';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { BACKENDS, MIB, SIZES } from './support.ts';

/** Timeout of a test on a busy machine. */
const SLOW_MS = 60_000;

/** Result of the page. */
interface Seen {
  readonly extensions: string;
  readonly wrong: string[];
  readonly got: number;
  readonly code: number;
}

/** Runs in a page: sends texts and bytes of these sizes and compares the echoes. */
const echoes = (url: string, sizes: readonly number[]): string => `new Promise((resolve) => {
  const words = 'the quick brown fox {"id": 12345} äöü 你好 😀'.split(' ');
  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) >>> 8;
  const textOf = (size) => {
    let text = '';
    while (text.length < size) text += words[random() % words.length] + (random() % 3 ? ' ' : random());
    return text.slice(0, size).replace(/[\\ud800-\\udbff]$/, 'x');
  };
  const sizes = ${JSON.stringify(sizes)};
  const sent = sizes.flatMap((size) => [textOf(size), new TextEncoder().encode(textOf(size))]);
  const socket = new WebSocket(${JSON.stringify(url)});
  socket.binaryType = 'arraybuffer';
  const wrong = [];
  let got = 0;
  let extensions = '';
  const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
  socket.onopen = () => {
    extensions = socket.extensions;
    for (const one of sent) socket.send(one);
  };
  socket.onmessage = ({ data }) => {
    const one = sent[got++];
    const right = typeof one === 'string' ? one === data
      : typeof data !== 'string' && same(new Uint8Array(data), one);
    if (!right) wrong.push(got - 1 + ': of ' + one.length);
    if (got === sent.length) socket.close(1000);
  };
  socket.onclose = ({ code }) => resolve({ extensions, wrong, got, code });
})`;

/** Echoes messages: compressed, uncompressed, and in fragments with a ping between them. */
async function echo(conn: Conn): Promise<void> {
  let n = 0;
  await conn.receive(async (message) => {
    if (++n % 3 !== 0) return conn.send(message, { compress: n % 3 === 1 });
    const { data, type } = message;
    const writer = await conn.nextWriter(type);
    const half = data.length >> 1;
    await writer.write(data.subarray(0, half));
    void conn.ping();
    await writer.write(data.subarray(half));
    await writer.close();
  });
}

const NO_TAKEOVER = 'server_no_context_takeover; client_no_context_takeover';

describe.skipIf(lacksChromium())('compression with a browser', () => {
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    browser = await launchHeadlessShell();
    page = await browser.newPage();
  }, SLOW_MS);
  afterAll(async () => {
    configureCompression({ backend: 'auto' });
    await browser?.close();
  });

  it.each(
    BACKENDS.flatMap((backend) => [
      [backend, 'shared', NO_TAKEOVER] as const,
      // The functions of `sync` keep no context.
      [
        backend,
        'takeover',
        backend === 'sync' ? NO_TAKEOVER : 'client_max_window_bits=12',
      ] as const,
    ]),
  )(
    'echoes every size on %s in mode %s',
    { timeout: SLOW_MS },
    async (backend, mode, parameters) => {
      configureCompression({ backend });
      let stats: Conn['stats'] | undefined;
      const server = await serve(
        {
          host: '127.0.0.1',
          compression: { mode, threshold: 0, maxBytes: false },
          readLimit: 4 * MIB,
          maxBufferedAmount: false,
          request: (_req, res) => {
            res.setHeader('Content-Type', 'text/html').end('<!doctype html><title>a</title>');
          },
        },
        async (conn) => {
          await echo(conn);
          ({ stats } = conn);
        },
      );
      onTestFinished(async () => void (await server.close()));
      await page.goto(server.url.replace('ws:', 'http:'));
      const sizes = [...SIZES, MIB, 10];
      const seen: Seen = await page.evaluate(echoes(server.url, sizes));
      expect(seen).toEqual({
        extensions: `permessage-deflate; ${parameters}`,
        wrong: [],
        got: sizes.length * 2,
        code: 1000,
      });
      const plain = sizes.reduce((sum, size) => sum + 2 * size, 0);
      expect(stats!.bytesIn).toBeLessThan(plain);
      expect(stats!.bytesOut).toBeLessThan(plain);
    },
  );
});
