import { dial } from '@ws/node-client';
import type { Example } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPage, writePrograms } from './page.ts';

const folder = writePrograms();

describe('fastify-plugin.ts', () => {
  let example: Example;
  beforeAll(async () => void (example = await startPage(folder, 'fastify-plugin.ts')));
  afterAll(() => example?.stop());

  it('echoes, and a route of Fastify reaches the connections', async () => {
    const conn = await dial(`${example.ws}/echo`);
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    expect((await fetch(`${example.url}/news`, { method: 'POST' })).status).toBe(204);
    expect((await conn.readMessage()).text()).toBe('news');
    await conn.close();
  });

  it('refuses other paths with 404', async () => {
    await expect(dial(`${example.ws}/other`)).rejects.toMatchObject({ status: 404 });
  });

  it('closes the connections with 1001 when Fastify closes', async () => {
    const conn = await dial(`${example.ws}/echo`);
    void conn.discardReads();
    const end = example.stop();
    expect(await conn.closed).toMatchObject({ code: 1001 });
    expect(await end, example.output()).toBe(0);
  });
});
