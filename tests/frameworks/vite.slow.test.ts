import { join } from 'node:path';
import { dial } from '@ws/node-client';
import type { Example } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPage, write, writePrograms } from './page.ts';

const folder = writePrograms();
write(join(folder, 'index.html'), '<!doctype html>\n<title>a page</title>\n');

describe('vite.ts', () => {
  let example: Example;
  beforeAll(async () => void (example = await startPage(folder, 'vite.ts')));
  afterAll(() => example?.stop());

  it('serves the page, echoes, and leaves the hot reload to Vite', async () => {
    const page = await (await fetch(example.url)).text();
    expect(page).toContain('/@vite/client');
    const client = await (await fetch(`${example.url}/@vite/client`)).text();
    const token = /wsToken = "([^"]+)"/.exec(client)![1];
    const hot = await dial(`${example.ws}/?token=${token}`, {
      subprotocols: ['vite-hmr'],
      headers: { Origin: example.url },
    });
    expect((await hot.readMessage()).json()).toEqual({ type: 'connected' });
    const conn = await dial(`${example.ws}/echo`);
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    await conn.close();
    expect(await hot.close()).toMatchObject({ wasClean: true });
  });
});
