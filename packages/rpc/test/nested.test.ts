import { fromWebSocket } from '@ws/browser';
import { type ConnLike, connPair } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { contract, event, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openSocket } from '../../browser/test/fake-web-socket.ts';
import { call, quietly, settled, until } from './pairs.ts';

const down = method(z.number(), z.number());
const names = { down, note: event(z.number()) };
const both = contract({ server: names, client: names });

type Handlers = Parameters<typeof both.connect>[1];
type Asks = { readonly down: (n: number, options?: { timeout: false }) => Promise<number> };

const notes = { note: () => undefined };

function read(way: string, conn: ConnLike, handlers: Handlers): Asks {
  if (way === 'connect') return both.connect(conn, handlers);
  if (way === 'serve') {
    quietly(both.serve(handlers)(conn));
    return both.peer(conn);
  }
  const hub = new Hub();
  hub.on('message', both.listener<Session>(handlers));
  return both.peer(hub.add(conn as never));
}

describe.each(['serve', 'listener'])('a question within a question, through %s', (way) => {
  it.each(['the peer of the context', 'the outer peer'])(
    'is answered at depth 5, from both ends, by %s',
    async (by) => {
      const [client, server] = connPair();
      const ends: { asks: Asks }[] = [];
      const handlers = (end: number): Handlers => ({
        ...notes,
        down: async (n, { peer }) => {
          const asks = by === 'the outer peer' ? ends[end]!.asks : peer;
          return n === 0 ? 0 : 1 + (await asks.down(n - 1, { timeout: false }));
        },
      });
      ends.push({ asks: read(way, server, handlers(0)) });
      ends.push({ asks: read('connect', client, handlers(1)) });
      for (const { asks } of ends) expect(await asks.down(5, { timeout: false })).toBe(5);
      // From both ends at once.
      const answers = ends.map(({ asks }) => asks.down(5, { timeout: false }));
      expect(await Promise.all(answers)).toEqual([5, 5]);
    },
  );
});

/** An end with a handler that asks the other one, which speaks JSON-RPC by hand. */
function asking(way: string) {
  const [raw, ours] = connPair();
  const started: number[] = [];
  const seen: number[] = [];
  const release: (() => void)[] = [];
  read(way, ours, {
    down: async (n, { peer }) => {
      started.push(n);
      if (n === 0) return peer.down(0, { timeout: false });
      await new Promise<void>((resolve) => release.push(resolve));
      return n;
    },
    note: async (n) => {
      await Promise.resolve();
      seen.push(n);
    },
  });
  const asked: number[] = [];
  const answers: { id: number; result?: number; error?: { code: number } }[] = [];
  void raw.receive((message) => {
    const one = message.json() as { id: number; method?: string };
    if (one.method === undefined) answers.push(one);
    else asked.push(one.id);
  });
  return { raw, ours, started, seen, release, asked, answers };
}

describe.each(['serve', 'listener', 'connect'])('a request through %s', (way) => {
  it('that came before the question keeps its place, one after it runs beside it, and events wait', async () => {
    const { raw, started, seen, release, asked, answers } = asking(way);
    void raw.send(call('hold', 'down', [1]));
    void raw.send(call('ask', 'down', [0]));
    void raw.send(call('early', 'down', [2]));
    await until(() => expect(started).toEqual([1]));
    release[0]!();
    await until(() => expect(asked).toHaveLength(1));
    void raw.send('{"jsonrpc":"2.0","method":"note","params":[1]}');
    void raw.send(call('late', 'down', [3]));
    await until(() => expect(started).toEqual([1, 0, 3]));
    release[1]!();
    await until(() => expect(answers.map(({ id }) => id)).toEqual(['hold', 'late']));
    expect(seen).toEqual([]);
    await raw.writeJSON({ jsonrpc: '2.0', id: asked[0], result: 7 });
    await until(() => expect(started).toEqual([1, 0, 3, 2]));
    expect(seen).toEqual([]);
    release[2]!();
    await until(() => expect(seen).toEqual([1]));
  });

  it('that is the 17th beside one handler is refused at once', async () => {
    const { raw, ours, started, release, asked, answers } = asking(way);
    void raw.send(call('ask', 'down', [0]));
    await until(() => expect(asked).toHaveLength(1));
    for (let n = 1; n <= 17; n++) void raw.send(call(n, 'down', [n]));
    await until(() => expect(answers).toMatchObject([{ id: 17, error: { code: -32_000 } }]));
    expect(started).toHaveLength(17);
    // A place that is free again takes the next one.
    release[0]!();
    await until(() => expect(answers).toHaveLength(2));
    void raw.send(call(18, 'down', [18]));
    await until(() => expect(started).toContain(18));
    for (const resolve of release) resolve();
    await raw.writeJSON({ jsonrpc: '2.0', id: asked[0], result: 7 });
    await until(() => expect(answers).toHaveLength(19));
    await settled(ours);
  });
});

describe('requests beside a handler', () => {
  it('have 1 MiB together', async () => {
    const { raw, started, release, asked, answers } = asking('serve');
    const long = (n: number): string => {
      const pad = ' '.repeat(600_000);
      return `{"jsonrpc":"2.0",${pad}"id":${n},"method":"down","params":[${n}]}`;
    };
    void raw.send(call('ask', 'down', [0]));
    await until(() => expect(asked).toHaveLength(1));
    for (let n = 1; n <= 3; n++) void raw.send(long(n));
    await until(() => expect(answers).toMatchObject([{ id: 3, error: { code: -32_000 } }]));
    expect(started).toEqual([0, 1, 2]);
    release[0]!();
    await until(() => expect(answers).toHaveLength(2));
    void raw.send(long(4));
    await until(() => expect(started).toEqual([0, 1, 2, 4]));
    raw.terminate();
  });
});

describe('1,000 events with asynchronous handlers', () => {
  it('stay in order in a page that has a call open all the time', async () => {
    const socket = openSocket();
    const seen: number[] = [];
    const server = both.connect(fromWebSocket(socket), {
      down: (n) => n,
      note: async (n) => {
        for (let turns = n % 3; turns > 0; turns--) await Promise.resolve();
        // A handler that calls the server too.
        if (n % 10 === 0) void server.down(1, { timeout: false });
        seen.push(n);
      },
    });
    void server.down(0, { timeout: false });
    const sent = Array.from({ length: 1_000 }, (_, n) => n);
    for (const n of sent) socket.message(`{"jsonrpc":"2.0","method":"note","params":[${n}]}`);
    await until(() => expect(seen).toHaveLength(1_000));
    expect(seen).toEqual(sent);
  });
});
