import { CloseError } from '@ws/conn';
import { contract, event, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { nextOf, series, until } from './pairs.ts';

describe('a reconnect', () => {
  const jobs = contract({
    server: {
      once: method(z.string(), z.string()),
      again: method(z.string(), z.string(), { retry: true }),
      said: event(z.string()),
    },
    client: {},
  });

  /** A client of servers that the test reads by hand. */
  async function setUpSeries() {
    const { servers, live } = series();
    const peer = jobs.connect(live, {});
    await until(() => expect(servers).toHaveLength(1));
    const read = async (i: number) => (await nextOf(servers[i]!)) as { id: number };
    const answer = (i: number, id: number, result: string) =>
      servers[i]!.writeJSON({ jsonrpc: '2.0', id, result });
    const breaks = async (i: number): Promise<void> => {
      servers[i]!.terminate();
      await until(() => expect(servers).toHaveLength(i + 2));
    };
    const caught = (promise: Promise<unknown>) => promise.catch((error: unknown) => error);
    const close = (): Promise<unknown> => {
      // A server answers a close frame once it has read it.
      for (const server of servers) void server.discardReads().catch(() => {});
      return live.close();
    };
    return { servers, live, peer, read, answer, breaks, caught, close };
  }

  it('sends a waiting call once, after the open ones that are sent again', async () => {
    const { peer, read, answer, breaks, caught, close } = await setUpSeries();
    const open = Array.from({ length: 256 }, (_, i) =>
      caught(i === 5 ? peer.again('retry') : peer.once(String(i))),
    );
    const waiting = peer.once('waiting');
    await read(0);
    await breaks(0);
    const first = await read(1);
    const second = await read(1);
    expect([first, second]).toMatchObject([
      { id: 6, method: 'again', params: ['retry'] },
      { id: 257, method: 'once', params: ['waiting'] },
    ]);
    await answer(1, first.id, 'yes');
    await answer(1, second.id, 'also');
    const ends = await Promise.all(open);
    expect(ends[5]).toBe('yes');
    expect(ends.filter((end) => end instanceof CloseError)).toHaveLength(255);
    expect(await waiting).toBe('also');
    await close();
  });

  it('takes no answer of the old connection, and none that was given up', async () => {
    const { peer, read, answer, breaks, caught, servers, close } = await setUpSeries();
    const control = new AbortController();
    const cancelled = caught(peer.again('cancelled', { signal: control.signal }));
    const timed = caught(peer.again('timed', { timeout: 30 }));
    const retried = peer.again('retried');
    for (let i = 0; i < 3; i++) await read(0);
    control.abort(new Error('left'));
    expect(await cancelled).toMatchObject({ message: 'left' });
    expect(await timed).toMatchObject({ name: 'TimeoutError' });
    await breaks(0);
    // Only the request that was not given up is sent again.
    expect(await read(1)).toMatchObject({ id: 3, params: ['retried'] });
    await answer(1, 1, 'late');
    await answer(1, 2, 'late');
    await answer(1, 3, 'now');
    expect(await retried).toBe('now');
    expect(servers[1]!.stats.messagesIn).toBe(2);
    await close();
  });

  it('cancels a call that was sent again on the new connection alone', async () => {
    const { peer, read, breaks, caught, close } = await setUpSeries();
    const control = new AbortController();
    const ended = caught(peer.again('a', { signal: control.signal }));
    await read(0);
    await breaks(0);
    expect(await read(1)).toMatchObject({ id: 1, method: 'again' });
    control.abort();
    await ended;
    expect(await read(1)).toMatchObject({ method: '$/cancelRequest', params: { id: 1 } });
    await close();
  });

  it('gives up a waiting call without a word to the new connection', async () => {
    const { live, peer, read, breaks, caught, servers, close } = await setUpSeries();
    const control = new AbortController();
    servers[0]!.terminate();
    await until(() => expect(live.conn).toBeUndefined());
    const ended = caught(peer.again('given up', { signal: control.signal }));
    control.abort();
    await ended;
    await until(() => expect(servers).toHaveLength(2));
    const sent = peer.again('b');
    expect(await read(1)).toMatchObject({ params: ['b'] });
    void sent.catch(() => {});
    await breaks(1);
    await close();
    await expect(sent).rejects.toBeDefined();
  });

  it('sends a request again that the broken connection had not accepted', async () => {
    const { peer, read, answer, servers, close } = await setUpSeries();
    // The server does not read: the writes of the client wait when the connection breaks.
    const calls = Array.from({ length: 20 }, (_, i) => peer.again(String(i).padEnd(200_000)));
    servers[0]!.terminate();
    await until(() => expect(servers).toHaveLength(2));
    for (let i = 0; i < 20; i++) await answer(1, (await read(1)).id, 'ok');
    expect(await Promise.all(calls)).toEqual(calls.map(() => 'ok'));
    await close();
  });

  it.each([1007, 1009])(
    'after %i does not send again what the server has refused',
    async (code) => {
      const { peer, read, servers, caught, close } = await setUpSeries();
      const refused = caught(peer.again('too large', { timeout: false }));
      await read(0);
      await servers[0]!.close(code);
      expect(await refused).toMatchObject({ closeCode: code });
      await until(() => expect(servers).toHaveLength(2));
      void caught(peer.again('next'));
      expect(await read(1)).toMatchObject({ params: ['next'] });
      await close();
    },
  );

  it('of five connections ends a request that each of them leaves without an answer', async () => {
    const { peer, read, answer, breaks, caught, close } = await setUpSeries();
    const poison = caught(peer.again('poison', { timeout: false }));
    for (let i = 0; i < 5; i++) {
      expect(await read(i)).toMatchObject({ id: 1, params: ['poison'] });
      await breaks(i);
    }
    expect(await poison).toMatchObject({ closeCode: 1006 });
    const next = peer.again('next');
    const { id } = await read(5);
    await answer(5, id, 'ok');
    expect(await next).toBe('ok');
    await close();
  });

  it('that never comes leaves no call without an end', async () => {
    const { peer, caught, close } = await setUpSeries();
    const calls = [peer.once('a'), peer.again('b'), peer.said('c')].map(caught);
    await close();
    const ends = await Promise.all(calls);
    expect(ends.slice(0, 2).every((end) => end instanceof Error)).toBe(true);
    await expect(peer.said('d')).rejects.toBeInstanceOf(Error);
  });
});
