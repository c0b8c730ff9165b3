import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { dial } from '@ws/node-client';
import { describe, expect, it, onTestFinished } from 'vitest';
import { listening } from '../kit/listening.ts';
import { writePrograms } from './page.ts';

const route = join(writePrograms(), 'next/app/live/route.js');
const { GET } = (await import(pathToFileURL(route).href)) as { GET: () => Response };
const CONTEXT = Symbol.for('@vercel/request-context');

/** Calls the function as Vercel does. @returns The URL, and the statuses of its Responses. */
async function host(): Promise<{ url: string; statuses: number[] }> {
  const contexts = new AsyncLocalStorage();
  const statuses: number[] = [];
  const globals = globalThis as { [CONTEXT]?: { get(): unknown } };
  globals[CONTEXT] = { get: () => contexts.getStore() };
  const server = createServer((_req, res) => void res.writeHead(GET().status).end());
  server.on('upgrade', (req, socket, head) => {
    // The function of Vercel starts in a later turn.
    setImmediate(() =>
      contexts.run({ upgradeWebSocket: () => ({ req, socket, head }) }, () => {
        statuses.push(GET().status);
      }),
    );
  });
  onTestFinished(() => {
    delete globals[CONTEXT];
    server.close();
  });
  return { url: `127.0.0.1:${await listening(server)}/live`, statuses };
}

describe('a route handler on Vercel', () => {
  it('echoes and returns 204', async () => {
    const { url, statuses } = await host();
    const conn = await dial(`ws://${url}`);
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    expect(await conn.close(1000, 'enough')).toMatchObject({ code: 1000, wasClean: true });
    expect(statuses).toEqual([204]);
  });

  it('refuses a foreign origin on the socket', async () => {
    const { url, statuses } = await host();
    const headers = { Origin: 'https://example.org' };
    await expect(dial(`ws://${url}`, { headers })).rejects.toMatchObject({ status: 403 });
    expect(statuses).toEqual([204]);
  });

  it('answers a plain request with 501', async () => {
    const { url } = await host();
    expect((await fetch(`http://${url}`)).status).toBe(501);
  });
});
