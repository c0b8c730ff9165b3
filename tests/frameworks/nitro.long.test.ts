import { join } from 'node:path';
import { dial } from '@ws/node-client';
import type { Example } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Installed, installPrograms } from './installed.ts';
import { NITRO_FILES } from './nitro-files.ts';
import { write, writePrograms } from './page.ts';

const NPM_MS = 300_000;
const NITRO = 'node_modules/nitro/dist/cli/index.mjs';

const from = join(writePrograms(), 'nitro');

let nitro: Installed;

beforeAll(async () => {
  for (const [name, code] of Object.entries(NITRO_FILES)) write(join(from, name), code);
  nitro = await installPrograms({
    from,
    dependencies: { nitro: '3.0.260903-beta' },
    ours: ['fetch', 'browser', 'codec', 'conn', 'node-io', 'node-server'],
  });
  await nitro.run(NITRO, 'build');
}, NPM_MS);

afterAll(() => nitro?.remove(), NPM_MS);

describe.each([
  ['nitro build', ['.output/server/index.mjs']],
  ['nitro dev', [NITRO, 'dev', '--port', '0', '--host', '127.0.0.1']],
])('nitro in %s', (_, args) => {
  let server: Example;
  beforeAll(async () => {
    server = await nitro.start(args);
  });
  afterAll(() => server?.stop('SIGKILL'));

  it('serves a page', async () => {
    // The first requests of `nitro dev` wait for the build.
    const page = async (): Promise<string> => (await fetch(server.url)).text();
    await expect.poll(page, { timeout: 60_000 }).toBe('a page of Nitro\n');
  });

  it('echoes', async () => {
    const conn = await dial(`${server.ws}/echo`);
    for (const text of ['hello', '', 'x'.repeat(300_000)]) {
      await conn.send(text);
      expect((await conn.readMessage()).text()).toBe(text);
    }
    expect(await conn.close(4001, 'enough')).toMatchObject({ code: 4001, wasClean: true });
  });

  it.each(['/', '/other', '/private/echo'])('does not upgrade %s', async (path) => {
    await expect(dial(server.ws + path)).rejects.toMatchObject({ status: 404 });
  });

  it('answers with the 401 of its middleware', async () => {
    expect((await fetch(`${server.url}/private/echo`)).status).toBe(401);
  });

  it('refuses a foreign origin', async () => {
    const headers = { Origin: 'https://example.org' };
    await expect(dial(`${server.ws}/echo`, { headers })).rejects.toMatchObject({ status: 403 });
  });
});
