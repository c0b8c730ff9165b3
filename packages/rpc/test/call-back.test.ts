// Handlers that call their caller.
import { fromWebSocket } from '@ws/browser';
import { type ConnLike, connPair } from '@ws/conn';
import { type Session } from '@ws/hub';
import { contract, event, method } from '@ws/rpc';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { openSocket } from '../../browser/test/fake-web-socket.ts';
import { inHub } from './in-hub.ts';
import { failure, never, quietly, until, useFakeClock } from './pairs.ts';

const names = { down: method(z.number(), z.number()), note: event(z.number()) };
const both = contract({ server: names, client: names });

type Handlers = Parameters<typeof both.connect>[1];
type Options = Parameters<typeof both.connect>[2];
type Asks = {
  readonly down: (n: number, options?: { timeout: number | false }) => Promise<number>;
};

const notes = { note: () => undefined };

function read(way: string, conn: ConnLike, handlers: Handlers, options?: Options): Asks {
  if (way === 'connect') return both.connect(conn, handlers, options);
  if (way === 'serve') {
    quietly(both.serve(handlers, options)(conn));
    return both.peer(conn);
  }
  return both.peer(inHub(conn as never, both.listener<Session>(handlers, options)));
}

/** Handlers that answer `n` by a question to the other end, until 0. */
function nesting(way: string, options?: Options, timeout: number | false = false) {
  const reports: string[] = [];
  const [client, server] = connPair({ report: (error) => void reports.push(String(error)) });
  const handlers: Handlers = {
    ...notes,
    down: async (n, { peer }) => (n === 0 ? 0 : 1 + (await peer.down(n - 1, { timeout }))),
  };
  const ends = [read(way, server, handlers, options), read('connect', client, handlers, options)];
  return { ends: ends as [Asks, Asks], client, reports };
}

useFakeClock();

describe.each(['serve', 'listener'])('a question within a question, through %s', (way) => {
  it('is answered at depth 100, and at depth 5 from both ends at once', async () => {
    const { ends } = nesting(way);
    for (const { down } of ends) expect(await down(100, { timeout: false })).toBe(100);
    const answers = ends.map(({ down }) => down(5, { timeout: false }));
    expect(await Promise.all(answers)).toEqual([5, 5]);
  });

  it('is answered in both directions with concurrency 1, if it calls back once', async () => {
    const { ends, reports } = nesting(way, { concurrency: 1 });
    for (const { down } of ends) expect(await down(1, { timeout: false })).toBe(1);
    expect(reports).toEqual([]);
  });

  it('that waits for its own place ends by the timeout of its caller, and is reported', async () => {
    const { ends, client, reports } = nesting(way, { concurrency: 1 }, 8_000);
    const answer = failure(ends[1].down(2, { timeout: false }));
    await client.ping();
    await vi.advanceTimersByTimeAsync(4_900);
    expect(reports).toEqual([]);
    await vi.advanceTimersByTimeAsync(300);
    await new Promise((turn) => setImmediate(turn));
    expect(reports).toEqual([
      expect.stringMatching(
        /no handler has settled for 5 s: 1 runs? \(down\).*1 .*wait.*concurrency/,
      ),
    ]);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(await answer).toMatchObject({ code: -32_603 });
    expect(await ends[1].down(0)).toBe(0);
    // The handlers report the TimeoutErrors of their own calls.
    expect(reports.filter((one) => one.includes('has settled'))).toHaveLength(1);
  });
});

describe('64 handlers that all wait for their caller', () => {
  it('end by their timeout, are reported once, and leave a connection that answers', async () => {
    const { ends, client, reports } = nesting('serve', undefined, 8_000);
    // Each question of depth 2 needs a second place at the server.
    const answers = Array.from({ length: 64 }, () => failure(ends[1].down(2, { timeout: false })));
    await client.ping();
    await vi.advanceTimersByTimeAsync(20_000);
    for (const answer of await Promise.all(answers))
      expect(answer).toMatchObject({ code: -32_603 });
    expect(await ends[1].down(2, { timeout: 1_000 })).toBe(2);
    expect(reports.filter((one) => one.includes('64 run (down)'))).toHaveLength(1);
  });
});

describe('1,000 events with asynchronous handlers', () => {
  it('end in order in a page with concurrency 1 that has a call open all the time', async () => {
    const socket = openSocket();
    const seen: number[] = [];
    const server = both.connect(
      fromWebSocket(socket),
      {
        down: (n) => n,
        note: async (n) => {
          for (let turns = n % 3; turns > 0; turns--) await Promise.resolve();
          // A handler that calls the server too.
          if (n % 10 === 0) void server.down(1, { timeout: false });
          seen.push(n);
        },
      },
      { concurrency: 1 },
    );
    void server.down(0, { timeout: false });
    const sent = Array.from({ length: 1_000 }, (_, n) => n);
    for (const n of sent) socket.message(`{"jsonrpc":"2.0","method":"note","params":[${n}]}`);
    await until(() => expect(seen).toHaveLength(1_000));
    expect(seen).toEqual(sent);
  });

  it('start in order with the default, beside a handler that hangs', async () => {
    const [client, server] = connPair();
    const seen: number[] = [];
    const note = async (n: number): Promise<void> => {
      seen.push(n);
      for (let turns = n % 3; turns > 0; turns--) await Promise.resolve();
    };
    quietly(both.serve({ down: never, note })(server));
    const peer = both.connect(client, { ...notes, down: never });
    void failure(peer.down(1, { timeout: false }));
    const sent = Array.from({ length: 1_000 }, (_, n) => n);
    for (const n of sent) void peer.note(n);
    await until(() => expect(seen).toHaveLength(1_000));
    expect(seen).toEqual(sent);
    client.terminate();
  });
});

/** Two ends in one process. A message reaches the handler of the other end within `send`. */
function syncPair(): [ConnLike, ConnLike] {
  const receivers: ((message: never) => unknown)[] = [];
  const end = (own: number): ConnLike =>
    ({
      state: 'open',
      closed: new Promise(() => {}),
      send: async (text: string) =>
        void receivers[1 - own]!({ type: 1, text: () => text } as never),
      writeMessage: never,
      receive: (handler: (message: never) => unknown) => {
        receivers[own] = handler;
        return new Promise(() => {});
      },
      close: never,
      terminate: () => undefined,
      [Symbol.asyncIterator]: never,
    }) as never;
  return [end(0), end(1)];
}

describe('two ends that pass their messages at once', () => {
  it.each([1, 2, 64])(
    'start what arrives while a handler is called, with concurrency %i',
    async (concurrency) => {
      const [a, b] = syncPair();
      const seen: number[] = [];
      const handlers: Handlers = {
        down: (n, { peer }) => {
          seen.push(n);
          if (n > 0) void peer.note(n);
          return n;
        },
        note: (n, { peer }) => {
          if (n % 2 === 0) void peer.down(n - 1);
        },
      };
      quietly(both.serve(handlers, { concurrency })(b));
      const peer = both.connect(a, handlers, { concurrency });
      expect(await Promise.all([peer.down(10), peer.down(4)])).toEqual([10, 4]);
      await until(() => expect(seen.toSorted((x, y) => x - y)).toEqual([3, 4, 9, 10]));
      expect(await peer.down(0)).toBe(0);
    },
  );

  it('cancel a handler that is being called', async () => {
    const [a, b] = syncPair();
    const control = new AbortController();
    const aborted: boolean[] = [];
    const down: Handlers['down'] = (n, { peer, signal }) => {
      void peer.note(n);
      aborted.push(signal.aborted);
      return n;
    };
    quietly(both.serve({ ...notes, down })(b));
    const peer = both.connect(a, { down: never, note: () => control.abort('enough') });
    expect(await failure(peer.down(1, { signal: control.signal }))).toBe('enough');
    expect(aborted).toEqual([true]);
  });
});
