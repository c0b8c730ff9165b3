// What the other end is told when a contract, an id or a reader does not fit.
import { connPair, JSONError, TimeoutError } from '@ws/conn';
import { Hub } from '@ws/hub';
import { contract, method, stream } from '@ws/rpc';
import { expect, it, vi } from 'vitest';
import { z } from 'zod';
import { settled, until, useFakeClock } from './pairs.ts';
import { drain } from './stream-pairs.ts';

useFakeClock();

it('L1 a stream that is a method at the other end rejects with a JSONError', async () => {
  const older = contract({ server: { ask: method(z.string(), z.unknown()) } });
  const newer = contract({ server: { ask: stream(z.string(), z.string()) } });
  for (const answer of ['the answer', 0, false, {}, []]) {
    const [client, server] = connPair();
    void older.serve({ ask: () => answer })(server);
    const { rest, error } = await drain(newer.connect(client, {}).ask('x'));
    expect(rest).toEqual([]);
    expect(error).toBeInstanceOf(JSONError);
    expect(String(error)).toMatch(/ask is no stream at the other end/);
    client.terminate();
  }
});

it('L2 a stream with an id above 256 characters is invalid', async () => {
  const names = contract({ server: { items: stream(z.undefined(), z.number()) } });
  const [client, server] = connPair();
  void names.serve({
    async *items() {
      yield 1;
    },
  })(server);
  const ask = (id: string): Promise<void> =>
    client.writeJSON({ jsonrpc: '2.0', id, method: 'items' });
  const next = async (): Promise<unknown> => (await client.readMessage()).json();
  void ask('i'.repeat(256));
  expect(await next()).toMatchObject({ method: '$/item' });
  expect(await next()).toMatchObject({ result: null });
  void ask('i'.repeat(257));
  expect(await next()).toMatchObject({ error: { code: -32_600 } });
  client.terminate();
});

const search = contract({ server: { search: method(z.string(), z.string()) } });

it('L5 a handler that ends by its signal is not reported', async () => {
  const reports: unknown[] = [];
  const [a, b] = connPair({ report: (error) => void reports.push(error) });
  void search.serve({
    search: (text, { signal }) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, 20, text);
        signal.addEventListener('abort', () => {
          clearTimeout(timer);
          reject(signal.reason as Error);
        });
      }),
  })(b);
  const peer = search.connect(a, {});
  let last: AbortController | undefined;
  let shown: string | undefined;
  for (const text of ['a', 'ab', 'abc']) {
    last?.abort();
    last = new AbortController();
    peer.search(text, { signal: last.signal }).then(
      (result) => (shown = result),
      () => {},
    );
  }
  await settled(a);
  await vi.advanceTimersByTimeAsync(1_000);
  await until(() => expect(shown).toBe('abc'));
  expect(reports).toEqual([]);
  a.terminate();
});

it('L7 a stream of a session that no listener reads ends after 30 s', async () => {
  const names = contract({ client: { items: stream(z.number(), z.number()) } });
  const hub = new Hub();
  const [a, b] = connPair();
  const session = hub.add(b);
  names.connect(a, {
    async *items(count) {
      for (let i = 0; i < count; i++) yield i;
    },
  });
  const first = names
    .peer(session)
    .items(3)
    .next()
    .then(undefined, (error: unknown) => error);
  await vi.advanceTimersByTimeAsync(31_000);
  const error = await first;
  expect(error).toBeInstanceOf(TimeoutError);
  expect(String(error)).toMatch(
    /no item of items within 30000 ms .*no listener of the contract reads/,
  );
  a.terminate();
});
