import { dial } from '@ws/node-client';
import { type Example, startExample } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('examples/h3', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('h3')));
  afterAll(() => example?.stop());

  it('serves pages of h3 and echoes on one port', async () => {
    expect(await (await fetch(example.url)).text()).toBe('a page of h3\n');
    const conn = await dial(`${example.ws}/echo`);
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    await conn.close();
    await expect(dial(`${example.ws}/other`)).rejects.toMatchObject({ status: 404 });
    expect((await fetch(`${example.url}/other`)).status).toBe(404);
  });

  it('ends on SIGTERM with close code 1001 and exit code 0', async () => {
    const conn = await dial(`${example.ws}/echo`);
    void conn.discardReads();
    const end = example.stop();
    expect(await conn.closed).toMatchObject({ code: 1001 });
    expect(await end, example.output()).toBe(0);
  });
});
