import { dial } from '@ws/node-client';
import { type Example, startExample } from '@ws/tests/examples';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('examples/nest', () => {
  let example: Example;
  beforeAll(async () => void (example = await startExample('nest')));
  afterAll(() => example?.stop());

  it('passes messages to the gateway and its answers back', async () => {
    const conn = await dial(`${example.ws}/events`);
    expect((await conn.readMessage()).text()).toBe('welcome');
    for (const ignored of ['no JSON', '1', 'null', '{"event":"unknown"}']) await conn.send(ignored);
    await conn.send('{"event":"echo","data":{"a":1}}');
    expect((await conn.readMessage()).json()).toEqual({ event: 'echo', data: { a: 1 } });
    await conn.send('{"event":"count","data":2}');
    for (const data of [0, 1]) {
      expect((await conn.readMessage()).json()).toEqual({ event: 'count', data });
    }
    await conn.close();
  });

  it('keeps the connection of a failing handler', async () => {
    const conn = await dial(`${example.ws}/events`);
    await conn.readMessage();
    await conn.send('{"event":"fail"}');
    await conn.send('{"event":"echo","data":1}');
    expect((await conn.readMessage()).json()).toEqual({ event: 'echo', data: 1 });
    await conn.close();
  });

  it('refuses other paths with 404', async () => {
    await expect(dial(`${example.ws}/other`)).rejects.toMatchObject({ status: 404 });
  });

  it('closes the connections with 1001 when Nest closes', async () => {
    const conn = await dial(`${example.ws}/events`);
    void conn.discardReads();
    const end = example.stop();
    expect(await conn.closed).toMatchObject({ code: 1001 });
    await end;
    expect(example.output()).not.toContain('ERROR');
  });
});
