// The built @ws/codec and @ws/conn as ES modules in a page, and the browser's WebSocket.
import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import process from 'node:process';
import { serve, type WsServer } from '@ws/node-server';
import { type Browser, lacksChromium, launchHeadlessShell, type Page } from '@ws/tests/chromium';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const packages = join(import.meta.dirname, '../../packages');
const modules = {
  '@ws/codec': 'codec/dist/index.js',
  '@ws/codec/internal': 'codec/dist/internal.js',
  '@ws/conn': 'conn/dist/index.js',
};
const built = Object.values(modules).every((file) => existsSync(join(packages, file)));
const unbuilt = !built && process.env['WS_BUILT'] === undefined;
if (unbuilt) console.log('skipped: codec and conn in a browser; not built, pnpm build does it');

const imports = Object.fromEntries(
  Object.entries(modules).map(([name, file]) => [name, `/${file}`]),
);
const PAGE = `<!doctype html><meta charset="utf-8"><title>modules</title><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports })}</script>`;

/** Serves the page and its modules. */
function answer(req: IncomingMessage, res: ServerResponse): void {
  // The entries of a package share chunks.
  const file = /^\/((?:codec|conn)\/dist\/[\w-]+\.js)$/.exec(req.url ?? '')?.[1];
  const type = file === undefined ? 'text/html' : 'text/javascript';
  res.writeHead(200, { 'Content-Type': type });
  res.end(file === undefined ? PAGE : readFileSync(join(packages, file)));
}

describe.skipIf(unbuilt || lacksChromium())('in a page', () => {
  let server: WsServer;
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];

  beforeAll(async () => {
    server = await serve(
      { port: 0, host: '127.0.0.1', request: answer, compression: true },
      (conn) => conn.receive((message) => conn.send(message)),
    );
    browser = await launchHeadlessShell();
    page = await browser.newPage();
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(server.url.replace('ws', 'http'));
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    expect(errors).toEqual([]);
  });

  /** Runs the body of an async function in the page. */
  const run = (body: string): Promise<unknown> => page.evaluate(`(async () => {${body}})()`);

  it('the codec decodes its own small and large masked frames', {
    timeout: 60_000,
  }, async () => {
    const seen = await run(`
      const { BinaryMessage, FRAME, FRAME_DATA, FrameDecoder, FrameEncoder, NEED_MORE, TextMessage } =
        await import('@ws/codec');
      const large = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) & 255);
      const encoder = new FrameEncoder({ role: 'client' });
      encoder.text(TextMessage, true, 0, 'grüße 🌍');
      encoder.frame(BinaryMessage, true, 0, large);
      const decoder = new FrameDecoder({ role: 'server' });
      let text = '';
      const bytes = [];
      const wire = encoder.bytes();
      for (let i = 0; i < wire.length; i += 65_536) {
        decoder.push(wire.slice(i, i + 65_536));
        for (let event = decoder.next(); event > NEED_MORE; event = decoder.next()) {
          const part = decoder.buf.slice(decoder.start, decoder.end);
          if (event === FRAME && decoder.opcode === TextMessage) text += new TextDecoder().decode(part);
          else if (event === FRAME || event === FRAME_DATA) bytes.push(...part);
        }
        if (decoder.error) throw decoder.error;
      }
      return { text, length: bytes.length, same: bytes.every((byte, i) => byte === large[i]) };`);
    expect(seen).toEqual({ text: 'grüße 🌍', length: 300_000, same: true });
  });

  it('two Conns exchange messages and streams over a MessageChannel', {
    timeout: 60_000,
  }, async () => {
    const seen = await run(`
      const { Conn, BinaryMessage } = await import('@ws/conn');
      const overPort = (port) => ({
        start(sink) {
          port.onmessage = ({ data }) => (data ? sink.data(data) : (sink.end(), sink.close()));
        },
        write(chunk, release) {
          port.postMessage(new Uint8Array(chunk));
          release?.();
          return true;
        },
        pause() {},
        resume() {},
        end: () => port.postMessage(null),
        destroy: () => port.close(),
        bufferedAmount: 0,
      });
      const { port1, port2 } = new MessageChannel();
      const server = new Conn(overPort(port1), { role: 'server' });
      const client = new Conn(overPort(port2), { role: 'client' });
      void server.receive((message) => server.send(message));
      await client.send('no socket');
      const text = (await client.readMessage()).text();
      const writer = await client.nextWriter(BinaryMessage);
      for (let i = 0; i < 10; i++) await writer.write(new Uint8Array(20_000).fill(i));
      await writer.close();
      const bytes = await (await client.nextReader()).bytes();
      const rtt = client.ping();
      void client.discardReads();
      await rtt;
      const { code, wasClean } = await client.close();
      return { text, length: bytes.length, last: bytes.at(-1), code, wasClean };`);
    expect(seen).toEqual({
      text: 'no socket',
      length: 200_000,
      last: 9,
      code: 1000,
      wasClean: true,
    });
  });
});
