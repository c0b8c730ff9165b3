// A machine that sleeps past the end of a login, on each entry that takes one.

import { createServer } from 'node:http';
import { upgrade } from '@ws/fetch';
import { serveFetch } from '@ws/fetch/node';
import { dial } from '@ws/node-client';
import { admit, type Conn, serve, Upgrader } from '@ws/node-server';
import { serveRaw } from '@ws/node-server/raw';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { listening } from '../kit/listening.ts';
import { whenOver } from '../peers/index.ts';

const host = '127.0.0.1';
const HOUR_MS = 3_600_000;

const authenticate = () => admit('ada', { expires: Date.now() + HOUR_MS / 2 });

type Handler = (conn: Pick<Conn, 'readMessage'>) => Promise<void>;

/** Each serves with {@link authenticate}, and returns its URL. */
const ENTRIES: Readonly<Record<string, (handler: Handler) => Promise<string>>> = {
  async serve(handler) {
    const server = await serve({ host, authenticate }, handler);
    whenOver(() => server.close());
    return server.url;
  },
  async Upgrader(handler) {
    const server = createServer();
    server.on('upgrade', new Upgrader({ authenticate }).handler(handler));
    whenOver(() => server.close());
    return `ws://${host}:${await listening(server)}`;
  },
  async serveRaw(handler) {
    const server = await serveRaw({ host, authenticate }, handler);
    whenOver(() => server.close());
    return server.url;
  },
  async serveFetch(handler) {
    const answer = (request: Request) => upgrade(request, { authenticate }, handler);
    const server = await serveFetch(answer, { port: 0, host });
    whenOver(() => server.close());
    return server.url;
  },
};

describe.each(Object.entries(ENTRIES))('a login by %s', (_, start) => {
  afterEach(() => vi.restoreAllMocks());

  it('delivers nothing after its end, although its timer has not fired', async () => {
    const got: string[] = [];
    const url = await start(async (conn) => {
      for (;;) got.push((await conn.readMessage()).text());
    });
    const client = await dial(url);
    await client.send('in time');
    await expect.poll(() => got).toEqual(['in time']);
    const now = Date.now.bind(Date);
    vi.spyOn(Date, 'now').mockImplementation(() => now() + HOUR_MS);
    await client.send('late');
    expect(await client.closed).toMatchObject({ code: 4401, reason: 'login expired' });
    expect(got).toEqual(['in time']);
  });
});
