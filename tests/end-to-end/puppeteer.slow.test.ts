// Puppeteer over our client: a program of others that sends and receives thousands of messages.
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import {
  type ConnectionTransport,
  findChromium,
  lacksChromium,
  puppeteer,
} from '@ws/tests/chromium';
import { describe, expect, it, onTestFinished } from 'vitest';

/** The WebSocket of Puppeteer, as one of ours. */
async function transportTo(url: string): Promise<ConnectionTransport> {
  const conn = await dial(url, { readLimit: false });
  const transport: ConnectionTransport = {
    send: (message) => void conn.send(message),
    close: () => void conn.close(),
  };
  void conn
    .receive((message) => transport.onmessage?.(message.text()))
    .catch(() => {})
    .finally(() => transport.onclose?.());
  return transport;
}

describe.skipIf(lacksChromium())('puppeteer over our client', () => {
  it('drives a browser and a page that talks to our server', { timeout: 60_000 }, async () => {
    const server = await serve({ port: 0, host: '127.0.0.1', checkOrigin: () => true }, (conn) =>
      conn.receive((message) => conn.send(message)),
    );
    onTestFinished(async () => void (await server.close({ timeout: 100 })));
    const launched = await puppeteer.launch({
      executablePath: findChromium()!,
      args: ['--no-sandbox', '--disable-gpu'],
    });
    onTestFinished(() => launched.close());
    const browser = await puppeteer.connect({
      transport: await transportTo(launched.wsEndpoint()),
    });
    const page = await browser.newPage();
    const texts = [];
    for (let i = 0; i < 200; i++) texts.push(await page.evaluate(`'${'x'.repeat(i)}'`));
    expect(texts.every((text, i) => text === 'x'.repeat(i))).toBe(true);
    expect(await page.evaluate("'y'.repeat(2_000_000)")).toBe('y'.repeat(2_000_000));
    const echoed = await page.evaluate(`new Promise((resolve) => {
      const socket = new WebSocket(${JSON.stringify(server.url)});
      socket.onopen = () => socket.send('hello');
      socket.onmessage = ({ data }) => resolve(data);
    })`);
    expect(echoed).toBe('hello');
    expect((await page.screenshot()).length).toBeGreaterThan(1000);
    await browser.disconnect();
  });
});
