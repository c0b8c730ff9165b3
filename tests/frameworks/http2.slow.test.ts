import { connect, createServer } from 'node:net';
import { dial } from '@ws/node-client';
import { selfSigned } from '@ws/tests';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { describe, expect, it, onTestFinished } from 'vitest';
import { listening } from '../kit/listening.ts';
import { startPage, writePrograms } from './page.ts';

const folder = writePrograms();

describe('http2.ts', () => {
  it('carries two connections of our client on one session', async () => {
    const example = await startPage(folder, 'http2.ts');
    onTestFinished(async () => void (await example.stop()));
    const options = { http2: 'only', tls: { ca: (await selfSigned()).cert } } as const;
    const conns = [
      await dial(`${example.ws}/carrier`, options),
      await dial(`${example.ws}/carrier`, options),
    ];
    const texts = await Promise.all(conns.map(async (conn) => (await conn.readMessage()).text()));
    expect(texts[0]).toMatch(/^HTTP\/2\.0 from port \d+$/);
    expect(texts[1]).toBe(texts[0]);
    await Promise.all(conns.map((conn) => conn.close()));
  });

  it.skipIf(lacksChromium())('opens all WebSockets of a page on its connection', async () => {
    const example = await startPage(folder, 'http2.ts');
    onTestFinished(async () => void (await example.stop()));
    // Counts the connections of the browser.
    let connections = 0;
    const counter = createServer((socket) => {
      connections++;
      const far = connect(example.port, '127.0.0.1');
      socket.on('error', () => far.destroy()).pipe(far);
      far.on('error', () => socket.destroy()).pipe(socket);
    });
    const port = await listening(counter);
    onTestFinished(() => void counter.close());
    const browser = await launchHeadlessShell();
    onTestFinished(async () => void (await browser.close()));
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    await page.goto(`https://127.0.0.1:${port}/`);
    const loaded = connections;
    await page.waitForFunction(`document.querySelectorAll('li output').length === 4`);
    await page.locator('input').fill('grüße');
    await page.waitForFunction(`document.querySelector('#echo').value === 'grüße'`);
    const carriers = await page.locator('p:first-of-type output, li output').allTextContents();
    expect(carriers).toHaveLength(5);
    expect(carriers[0]).toMatch(/^HTTP\/2\.0 from port \d+$/);
    expect(new Set(carriers).size).toBe(1);
    expect(connections).toBe(loaded);
  });
});
