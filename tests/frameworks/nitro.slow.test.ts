import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { crosswsAdapter } from '@ws/fetch/node';
import { dial } from '@ws/node-client';
import { type EventHandler, H3, toNodeHandler } from 'h3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listening } from '../kit/listening.ts';
import { NITRO_FILES } from './nitro-files.ts';
import { write, writePrograms } from './page.ts';

/** What the server of Nitro does, without Nitro: h3, and the adapter of crossws. */
describe('nitro', () => {
  const folder = join(writePrograms(), 'nitro');
  let http: Server;
  let url: string;
  let adapter: ReturnType<typeof crosswsAdapter>;

  async function load<T>(path: string): Promise<T> {
    const module = (await import(pathToFileURL(join(folder, path)).href)) as { default: T };
    return module.default;
  }

  beforeAll(async () => {
    for (const [name, code] of Object.entries(NITRO_FILES)) write(join(folder, name), code);
    const app = new H3()
      .use(await load<EventHandler>('middleware/private.ts'))
      .get('/', await load<EventHandler>('routes/index.ts'))
      .get('/echo', await load<EventHandler>('routes/echo.ts'))
      .get('/private/echo', await load<EventHandler>('routes/private/echo.ts'));
    adapter = (await load<typeof crosswsAdapter>('crossws-node.ts'))({
      resolve: async (request) =>
        ((await app.fetch(request)) as { crossws?: object }).crossws ?? {},
    });
    http = createServer(toNodeHandler(app));
    http.on('upgrade', (req, socket, head) => void adapter.handleUpgrade(req, socket, head));
    url = `127.0.0.1:${await listening(http)}`;
  });
  afterAll(() => http.close());

  it('serves pages and echoes on one port', async () => {
    expect(await (await fetch(`http://${url}`)).text()).toBe('a page of Nitro\n');
    const conn = await dial(`ws://${url}/echo`);
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    await conn.close();
  });

  it.each(['/', '/other', '/private/echo'])('does not upgrade %s', async (path) => {
    await expect(dial(`ws://${url}${path}`)).rejects.toMatchObject({ status: 404 });
  });

  it('refuses a foreign origin', async () => {
    const headers = { Origin: 'https://example.org' };
    await expect(dial(`ws://${url}/echo`, { headers })).rejects.toMatchObject({ status: 403 });
  });

  // The last test: it closes the adapter.
  it('closes its connections with 1001', async () => {
    const conn = await dial(`ws://${url}/echo`);
    void conn.discardReads().catch(() => {});
    await adapter.close();
    expect(await conn.closed).toMatchObject({ code: 1001 });
  });
});
