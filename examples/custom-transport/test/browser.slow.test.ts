import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { describe, expect, it, onTestFinished } from 'vitest';
import * as endpoint from '../endpoint.ts';
import * as frames from '../frames.ts';

/** Runs in a page: sends texts and bytes, closes, and returns what it saw. */
const visit = (url: string): string => `new Promise((resolve) => {
  const socket = new WebSocket(${JSON.stringify(url)});
  socket.binaryType = 'arraybuffer';
  const seen = [];
  socket.onopen = () => {
    socket.send('grüße');
    socket.send(new Uint8Array(300000));
  };
  socket.onmessage = ({ data }) => {
    seen.push(typeof data === 'string' ? data : data.byteLength);
    if (seen.length === 2) socket.close(4000, 'done');
  };
  socket.onclose = ({ code, wasClean }) => resolve([...seen, code, wasClean]);
})`;

describe.skipIf(lacksChromium())('a page of a browser', () => {
  it.each([
    ['Endpoint', endpoint.serve],
    ['FrameDecoder', frames.serve],
  ])('talks to the program on %s', async (_, serve) => {
    // A blank page has the origin "null".
    const [server, closed] = [serve(0, ['null']), serve(0)];
    await Promise.all([once(server, 'listening'), once(closed, 'listening')]);
    const browser = await launchHeadlessShell();
    onTestFinished(async () => {
      await browser.close();
      server.close();
      closed.close();
    });
    const urlOf = (one: typeof server): string =>
      `ws://127.0.0.1:${(one.address() as AddressInfo).port}`;
    const page = await browser.newPage();
    expect(await page.evaluate(visit(urlOf(server)))).toEqual(['grüße', 300_000, 4000, true]);
    expect(await page.evaluate(visit(urlOf(closed)))).toEqual([1006, false]);
  });
});
