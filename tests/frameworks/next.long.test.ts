import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { dial } from '@ws/node-client';
import type { Example } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Installed, installPrograms } from './installed.ts';
import { write, writePrograms } from './page.ts';

/** They are installed from npm into a folder that is removed afterwards: next alone has 150 MB. */
const DEPENDENCIES = {
  next: '16.4.6',
  react: '19.2.0',
  'react-dom': '19.2.0',
  '@vercel/functions': '3.9.9',
  ws: '8.23.0',
};
const NPM_MS = 300_000;

/** Files of an application that the page leaves out. */
const APP = {
  'layout.js': `export default function Layout({ children }) {
  return <html lang="en"><body>{children}</body></html>;
}`,
  'page.js': `export default function Page() {
  return <p>a page of Next</p>;
}`,
  // The way of @vercel/functions, over ws. It shows that the host of the test has the shape of Vercel's.
  'theirs/route.js': `import { experimental_upgradeWebSocket } from '@vercel/functions';
export const GET = () =>
  experimental_upgradeWebSocket((ws) => {
    ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  });`,
};

const from = join(writePrograms(), 'next');

let next: Installed;

beforeAll(async () => {
  for (const [name, code] of Object.entries(APP)) write(join(from, 'app', name), code);
  next = await installPrograms({
    from,
    dependencies: DEPENDENCIES,
    ours: ['node-server', 'node-io', 'conn', 'codec'],
  });
  const host = 'vercel-host.mjs';
  cpSync(join(import.meta.dirname, host), join(next.folder, host));
}, NPM_MS);

afterAll(() => next?.remove(), NPM_MS);

/** Starts a server of the folder. */
async function start(file: string, mode: string): Promise<Example> {
  const server = await next.start([file], { NODE_ENV: mode, NEXT_TELEMETRY_DISABLED: '1' });
  onTestFinished(() => void server.stop('SIGKILL'));
  return server;
}

describe('next/server.mjs', () => {
  it('serves pages, its hot reload and an echo on one port', { timeout: NPM_MS }, async () => {
    const server = await start('server.mjs', 'development');
    const { url, ws } = server;
    expect(await (await fetch(url)).text()).toContain('a page of Next');
    const hot = await dial(`${ws}/_next/hmr`);
    expect((await hot.readMessage()).json()).toHaveProperty('type');
    const conn = await dial(`${ws}/echo`);
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    expect(hot.state).toBe('open');
    await hot.close();
    void conn.discardReads();
    const end = server.stop();
    expect(await conn.closed).toMatchObject({ code: 1001 });
    expect(await end).toBe(0);
  });

  it('echoes in a route of a production build, in a host of the shape of Vercel', {
    timeout: NPM_MS,
  }, async () => {
    await next.run('node_modules/next/dist/bin/next', 'build');
    const own = await start('server.mjs', 'production');
    expect(await (await fetch(own.url)).text()).toContain('a page of Next');
    await expect(dial(`${own.ws}/_next/hmr`)).rejects.toMatchObject({ status: 404 });
    expect(await own.stop()).toBe(0);
    const { url, ws } = await start('vercel-host.mjs', 'production');
    for (const path of ['/live', '/theirs', '/live']) {
      const conn = await dial(ws + path);
      await conn.send('hello');
      expect((await conn.readMessage()).text()).toBe('hello');
      expect(await conn.close(4001, 'enough')).toMatchObject({ code: 4001, wasClean: true });
    }
    const headers = { Origin: 'https://example.org' };
    await expect(dial(`${ws}/live`, { headers })).rejects.toMatchObject({ status: 403 });
    expect((await fetch(`${url}/live`)).status).toBe(501);
  });
});
