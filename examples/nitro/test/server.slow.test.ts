import { dial } from '@ws/node-client';
import { type Example, startExample } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('examples/nitro', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('nitro')));
  afterAll(() => example?.stop());

  it('serves pages and echoes on one port', async () => {
    expect(await (await fetch(example.url)).text()).toBe('a page of Nitro\n');
    const conn = await dial(`${example.ws}/echo`);
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    await conn.close();
  });

  it.each(['/', '/other', '/private/echo'])('does not upgrade %s', async (path) => {
    await expect(dial(example.ws + path)).rejects.toMatchObject({ status: 404 });
  });

  it('refuses a foreign origin', async () => {
    const headers = { Origin: 'https://example.org' };
    await expect(dial(`${example.ws}/echo`, { headers })).rejects.toMatchObject({ status: 403 });
  });

  it('ends on SIGTERM with close code 1001 and exit code 0', async () => {
    const conn = await dial(`${example.ws}/echo`);
    void conn.discardReads().catch(() => {});
    const end = example.stop();
    expect(await conn.closed).toMatchObject({ code: 1001 });
    expect(await end, example.output()).toBe(0);
  });
});
