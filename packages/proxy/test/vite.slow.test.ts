// Vite's hot reload, for a client and for a page, through a proxy over HTTP/2.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dial } from '@ws/node-client';
import { nothingLeft, selfSigned, whenOver } from '@ws/tests';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { createServer } from 'vite';
import { describe, expect, it } from 'vitest';
import { type Http2Front, http2Front } from './http2/support.ts';

interface Site {
  /** URL of Vite's own server. */
  readonly vite: string;
  readonly front: Http2Front;
  /** Changes the module of the page, which sets the title. */
  readonly setTitle: (title: string) => void;
}

/** A page on Vite's dev server, and in front of it a server of HTTP/2. */
async function site(): Promise<Site> {
  const root = mkdtempSync(join(tmpdir(), 'ws-vite-'));
  whenOver(() => rmSync(root, { recursive: true, force: true }));
  const setTitle = (title: string): void => {
    writeFileSync(
      join(root, 'main.js'),
      `document.title = '${title}';\nimport.meta.hot?.accept();\n`,
    );
  };
  setTitle('first');
  writeFileSync(
    join(root, 'index.html'),
    '<!doctype html><link rel=icon href=data:,><script type=module src=/main.js></script>',
  );
  const vite = await createServer({
    root,
    configFile: false,
    clearScreen: false,
    logLevel: 'silent',
    server: { host: '127.0.0.1', port: 0 },
    optimizeDeps: { noDiscovery: true },
  });
  whenOver(() => vite.close());
  await vite.listen();
  // Vite looks for files after it listens. It would miss an earlier change.
  await expect.poll(() => vite.watcher.getWatched()[root]).toContain('main.js');
  const url = vite.resolvedUrls!.local[0]!;
  const front = await http2Front(url, {}, true);
  const pass = async ({ url: path }: IncomingMessage, res: ServerResponse): Promise<void> => {
    const answer = await fetch(new URL(path!, url));
    res.writeHead(answer.status, { 'Content-Type': answer.headers.get('content-type') ?? '' });
    res.end(Buffer.from(await answer.arrayBuffer()));
  };
  front.server.on('request', (req, res) => void pass(req as never, res as never));
  return { vite: url, front, setTitle };
}

describe('createProxy over HTTP/2 before Vite', () => {
  nothingLeft();

  it('passes an update of the hot reload to a client', async () => {
    const { vite, front, setTitle } = await site();
    // Vite watches the modules that were asked for.
    await (await fetch(new URL('/main.js', vite))).text();
    const client = await (await fetch(new URL('/@vite/client', vite))).text();
    const token = /wsToken = "([^"]+)"/.exec(client)![1];
    const { cert: ca } = await selfSigned();
    const conn = await dial(`${front.url}/?token=${token}`, {
      http2: 'only',
      tls: { ca },
      subprotocols: ['vite-hmr'],
      headers: { Origin: front.url.replace('wss', 'https') },
    });
    expect(conn.subprotocol).toBe('vite-hmr');
    expect((await conn.readMessage()).json()).toEqual({ type: 'connected' });
    setTitle('second');
    let update = (await conn.readMessage()).json() as { type: string };
    while (update.type !== 'update') update = (await conn.readMessage()).json() as typeof update;
    expect(update).toMatchObject({ updates: [{ type: 'js-update', path: '/main.js' }] });
    expect(await conn.close()).toMatchObject({ wasClean: true });
  });

  it.skipIf(lacksChromium())(
    'updates a page of Chromium on the session that loaded it',
    async () => {
      const { front, setTitle } = await site();
      let sockets = 0;
      let upgrades = 0;
      front.server.on('secureConnection', () => sockets++).on('upgrade', () => upgrades++);
      const browser = await launchHeadlessShell();
      whenOver(() => browser.close());
      const page = await browser.newPage({ ignoreHTTPSErrors: true });
      const connected = page.waitForEvent('websocket');
      await page.goto(front.url.replace('wss', 'https'));
      await connected;
      await page.waitForFunction("document.title === 'first'");
      const hot = await front.next();
      // Vite has greeted the page.
      await expect.poll(() => hot.stats.out.messages).toBeGreaterThan(0);
      const before = sockets;
      setTitle('second');
      await page.waitForFunction("document.title === 'second'");
      expect({ upgrades, sockets }).toEqual({ upgrades: 0, sockets: before });
    },
  );
});
