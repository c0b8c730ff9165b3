// Requests and events that wait for a place: their order, their bounds, and what goes on beside them.
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { fromWebSocket } from '@ws/browser';
import { type Conn, connPair } from '@ws/conn';
import { internalsOf } from '@ws/conn/internal';
import { type Session } from '@ws/hub';
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { contract, event, method } from '@ws/rpc';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { openSocket } from '../../browser/test/fake-web-socket.ts';
import { inHub } from './in-hub.ts';
import { call, failure, never, quietly, settled, until, useFakeClock } from './pairs.ts';

const any = z.any();
const names = { job: method(any, any), note: event(any), ask: method(z.undefined(), any) };
const jobs = contract({ server: names, client: names });
type Handlers = Parameters<typeof jobs.connect>[1];

const ways = ['serve', 'listener', 'connect'] as const;
const KIB = 1024;
const MIB = KIB * KIB;

interface Answer {
  readonly id: unknown;
  readonly method?: string;
  readonly result?: unknown;
  readonly error?: { readonly code: number };
}

/** Receives the messages with an id. A server that gets no CPU for 1.9 s also sends signs of life. */
function receiveAnswers(conn: Conn, answers: Answer[]): void {
  const received = conn.receive((message) => {
    const answer = message.json() as Answer;
    if (answer.id !== undefined && answer.id !== '$/hello') answers.push(answer);
  });
  quietly(received);
}

/** An end with handlers that the test settles, and a peer that speaks JSON-RPC by hand. */
function setUp(
  way: (typeof ways)[number] = 'serve',
  options: Parameters<typeof jobs.connect>[2] = {},
  pair: Parameters<typeof connPair>[0] = {},
) {
  const reports: string[] = [];
  const [raw, ours] = connPair({ ...pair, report: (error) => void reports.push(String(error)) });
  const started: unknown[] = [];
  const release: (() => void)[] = [];
  const aborted: unknown[] = [];
  const hold = async (input: unknown, { signal }: { signal: AbortSignal }): Promise<unknown> => {
    started.push(Array.isArray(input) ? input[0] : input);
    signal.addEventListener('abort', () => void aborted.push(input));
    await new Promise<void>((resolve) => release.push(resolve));
    return null;
  };
  const handlers: Handlers = { job: hold, note: hold, ask: (_, { peer }) => peer.ask() };
  if (way === 'connect') jobs.connect(ours, handlers, options);
  else if (way === 'serve') quietly(jobs.serve(handlers, options)(ours));
  else inHub(ours, jobs.listener<Session>(handlers, options));
  const answers: Answer[] = [];
  const receive = (): void => receiveAnswers(raw, answers);
  // One after the other, so that the bounds of this end refuse none.
  let last: Promise<unknown> = Promise.resolve();
  const send = (text: string): void => {
    last = last.then(() => raw.send(text)).catch(() => {});
  };
  const job = (id: unknown, pad = ''): void => send(call(id, 'job', [id, pad]));
  const note = (n: unknown, pad = ''): void =>
    send(JSON.stringify({ jsonrpc: '2.0', method: 'note', params: [n, pad] }));
  const cancel = (id: unknown): void =>
    send(JSON.stringify({ jsonrpc: '2.0', method: '$/cancelRequest', params: { id } }));
  return { raw, ours, reports, started, release, aborted, answers, receive, cancel, job, note };
}

const errorsOf = (answers: readonly Answer[]): unknown[] =>
  answers.filter(({ error }) => error !== undefined).map(({ id, error }) => [id, error!.code]);

async function turns(count = 100): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A peer whose requests are in one chunk, over TCP. */
async function overTcp(handlers: Partial<Handlers>, options = {}, settings = {}) {
  const all = { job: () => null, note: () => undefined, ask: never, ...handlers };
  const server = await serve(
    { port: 0, host: '127.0.0.1', report: () => {}, ...settings },
    jobs.serve(all, options),
  );
  const conn = await dial(server.url, { maxBufferedAmount: false });
  const answers: Answer[] = [];
  receiveAnswers(conn, answers);
  const close = async (): Promise<void> => void (await server.close());
  return { server, conn, answers, [Symbol.asyncDispose]: close };
}

/** A server that passes the bytes of its clients on to `url`, 1 KiB a turn, and back. */
async function slowWayTo(url: string): Promise<{ url: string; close: () => void }> {
  const { port, hostname } = new URL(url);
  const pass = async (from: Socket, to: Socket): Promise<void> => {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (let i = 0; i < chunk.length; i += KIB) {
        to.write(chunk.subarray(i, i + KIB));
        await turns(1);
      }
    }
    to.end();
  };
  const relay = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const one of [pass(near, far), pass(far, near)]) one.catch(() => {});
  });
  await new Promise<void>((resolve) => relay.listen(0, hostname, resolve));
  const own = (relay.address() as AddressInfo).port;
  return { url: `ws://${hostname}:${own}/`, close: () => relay.close() };
}

describe('H1 handlers of requests and events', () => {
  it.each(ways)('start in order, 64 at once, through %s', async (way) => {
    const { raw, ours, started, release, job, note } = setUp(way);
    for (let i = 0; i < 200; i++) (i % 3 === 0 ? note : job)(i);
    await until(() => expect(started).toHaveLength(64));
    await settled(ours);
    expect(started).toHaveLength(64);
    // Any place that becomes free takes the next message.
    for (let i = 63; started.length < 200; i--) {
      const count = started.length;
      release.splice(i < 0 ? 0 : i, 1)[0]!();
      await until(() => expect(started).toHaveLength(count + 1));
    }
    expect(started).toEqual(Array.from({ length: 200 }, (_, i) => i));
    raw.terminate();
  });

  it('have 4 MiB of messages together, or one larger message', async () => {
    const pair = { readLimit: 8 * MIB, maxBufferedAmount: 32 * MIB };
    const { raw, started, release, job } = setUp('serve', {}, pair);
    const mib = 'x'.repeat(MIB);
    for (let i = 0; i < 6; i++) job(i, mib);
    job('large', mib.repeat(5));
    job('after');
    await until(() => expect(started).toEqual([0, 1, 2]));
    await turns();
    expect(started).toEqual([0, 1, 2]);
    for (let i = 0; i < 6; i++) {
      await until(() => expect(release.length).toBeGreaterThan(i));
      await turns(5);
      expect(started.includes('large')).toBe(false);
      release[i]!();
    }
    await until(() => expect(started).toContain('large'));
    await turns();
    expect(started).not.toContain('after');
    release[6]!();
    await until(() => expect(started).toContain('after'));
    raw.terminate();
  });

  it('start one after the other with concurrency 1, and settle before the next one starts', async () => {
    const { raw, ours, started, release, job } = setUp('serve', { concurrency: 1 });
    for (let i = 0; i < 4; i++) job(i);
    for (let i = 0; i < 4; i++) {
      await until(() => expect(started).toHaveLength(i + 1));
      await settled(ours);
      expect(started).toHaveLength(i + 1);
      release[i]!();
    }
    raw.terminate();
  });

  it('begin with the schema, in order', async () => {
    const order: string[] = [];
    const late = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: async (value: unknown) => {
          order.push(`check ${String(value)}`);
          for (let i = value === 1 ? 20 : 0; i > 0; i--) await Promise.resolve();
          return { value };
        },
      },
    } as const;
    for (const concurrency of [64, 1]) {
      order.length = 0;
      const contracted = contract({ server: { job: method(late as never, any) } });
      const [client, server] = connPair();
      const run = (n: unknown): null => {
        order.push(`run ${String(n)}`);
        return null;
      };
      quietly(contracted.serve({ job: run }, { concurrency })(server));
      const peer = contracted.connect(client, {}) as unknown as { job(n: number): Promise<null> };
      await Promise.all([1, 2].map((n) => peer.job(n)));
      expect(order).toEqual(
        concurrency === 1
          ? ['check 1', 'run 1', 'check 2', 'run 2']
          : ['check 1', 'check 2', 'run 2', 'run 1'],
      );
    }
  });
});

describe('H2 requests that wait', () => {
  it.each([64, 1])(
    'are all answered by Promise.all: 1,000, with concurrency %i',
    async (concurrency) => {
      const [client, server] = connPair();
      const handlers: Handlers = { job: async (n) => n, note: never, ask: never };
      quietly(jobs.serve(handlers, { concurrency })(server));
      const peer = jobs.connect(client, handlers);
      const sent = Array.from({ length: 1_000 }, (_, n) => n);
      expect(await Promise.all(sent.map((n) => peer.job(n)))).toEqual(sent);
    },
  );

  it.each([
    [100, 50_000, 64],
    [100, 50_000, 1],
    [250, 20_000, 64],
    [250, 20_000, 1],
  ])(
    'are all answered: %i of %i bytes at once, with concurrency %i',
    async (count, size, concurrency) => {
      const job = async ([n]: [number, string]): Promise<number> => {
        await new Promise((resolve) => setImmediate(resolve));
        return n;
      };
      await using tcp = await overTcp({ job }, { concurrency });
      const peer = jobs.connect(await dial(tcp.server.url), { job, note: never, ask: never });
      const sent = Array.from({ length: count }, (_, n) => n);
      const pad = 'x'.repeat(size);
      expect(await Promise.all(sent.map((n) => peer.job([n, pad])))).toEqual(sent);
    },
  );

  it('are all answered by Promise.all over a slow connection: 1,000 of 1 kB', async () => {
    const job = ([n, pad]: [number, string]): [number, string] => [n, pad];
    await using tcp = await overTcp({ job });
    const way = await slowWayTo(tcp.server.url);
    const peer = jobs.connect(await dial(way.url), { job, note: never, ask: never });
    const sent = Array.from({ length: 1_000 }, (_, n) => [n, 'x'.repeat(900)]);
    const answers = await Promise.all(sent.map((one) => peer.job(one, { timeout: false })));
    expect(answers).toEqual(sent);
    way.close();
  });

  it.each([
    ['many ids', (i: number) => i],
    ['one id', () => 7],
  ])('are at most 10,000, with %s in one chunk', async (_, idOf) => {
    // 64 run, and the last one is refused.
    const count = 10_065;
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    await using tcp = await overTcp({ job: async (n) => (await gate, n) });
    const { conn, answers } = tcp;
    for (let i = 0; i < count; i++) void conn.send(call(idOf(i), 'job', [i]));
    await conn.ping();
    await until(() => expect([...tcp.server.connections][0]!.stats.messagesIn).toBe(count));
    await conn.ping();
    expect(errorsOf(answers)).toEqual([[idOf(10_064), -32_000]]);
    release();
    await until(() => expect(answers).toHaveLength(count));
    expect(errorsOf(answers)).toHaveLength(1);
    conn.terminate();
  });

  it('are found by their id, answered at once, and run no handler', async () => {
    const { raw, ours, started, answers, receive, cancel, job, release } = setUp('serve', {
      concurrency: 1,
    });
    receive();
    for (const id of ['a', 'b', 'c', 'b']) job(id);
    await settled(ours);
    // The last one of the two with this id; then none of them has the id any more.
    cancel('b');
    await until(() => expect(errorsOf(answers)).toEqual([['b', -32_800]]));
    release[0]!();
    await until(() => expect(release).toHaveLength(2));
    release[1]!();
    await until(() => expect(release).toHaveLength(3));
    expect(started).toEqual(['a', 'b', 'c']);
    raw.terminate();
  });
});

describe('H3 a queue of messages', () => {
  useFakeClock();

  it.each(ways)(
    'keeps a quarter of maxBufferedAmount while reading goes on, through %s',
    async (way) => {
      const { raw, ours, started, release, job } = setUp(way, {}, { maxBufferedAmount: 4 * MIB });
      for (let i = 0; i < 64; i++) job(i);
      for (let i = 64; i < 200; i++) job(i, 'x'.repeat(16 * KIB));
      await until(() => expect(started).toHaveLength(64));
      await turns();
      const read = ours.stats.messagesIn;
      expect(read).toBeGreaterThan(64 + 60);
      expect(read).toBeLessThan(64 + 70);
      for (let i = 0; i < 200; i++) {
        await until(() => expect(release.length).toBeGreaterThan(i));
        release[i]!();
      }
      expect(started).toEqual(Array.from({ length: 200 }, (_, i) => i));
      raw.terminate();
    },
  );

  it.each(ways)(
    'is read on from 10 s after the last settled handler, up to its bound, through %s',
    async (way) => {
      const pair = { maxBufferedAmount: MIB };
      const { raw, ours, reports, started, release, answers, aborted, receive, cancel, job } =
        setUp(way, {}, pair);
      receive();
      for (let i = 0; i < 64; i++) job(i);
      for (let i = 64; i < 264; i++) job(i, 'x'.repeat(8 * KIB));
      cancel(3);
      await turns();
      await vi.advanceTimersByTimeAsync(8_000);
      await turns(1);
      expect(reports).toEqual([expect.stringMatching(/settled for 5 s: 64 run \(job\), and \d+ /)]);
      expect(answers).toEqual([]);
      release[0]!();
      await until(() => expect(started).toHaveLength(65));
      await vi.advanceTimersByTimeAsync(9_800);
      await turns();
      expect(aborted).toEqual([]);
      await vi.advanceTimersByTimeAsync(400);
      // A cancel is read, and requests above the bound are refused.
      await until(() => expect(aborted).toHaveLength(1));
      await until(() => expect(ours.stats.messagesIn).toBe(265));
      const refused = errorsOf(answers);
      expect(refused.length).toBeGreaterThan(60);
      expect(refused.length).toBeLessThan(80);
      for (const [, code] of refused as [unknown, number][]) expect(code).toBe(-32_000);
      expect(ours.state).toBe('open');
      // One report until nothing waits.
      expect(reports).toHaveLength(1);
      // Reading waits for handlers again once one has settled.
      release[1]!();
      await until(() => expect(started).toHaveLength(66));
      for (let i = 300; i < 400; i++) job(i, 'x'.repeat(8 * KIB));
      await turns();
      expect(ours.stats.messagesIn).toBeLessThan(280);
      raw.terminate();
    },
  );

  it('is read on while this end waits for an answer, also when it asks later', async () => {
    const { raw, ours, answers, receive, job } = setUp('serve', {}, { maxBufferedAmount: MIB });
    receive();
    for (let i = 0; i < 63; i++) job(i);
    for (let i = 0; i < 100; i++) job(`p${i}`, 'x'.repeat(4 * KIB));
    await turns();
    const before = ours.stats.messagesIn;
    expect(before).toBeLessThan(163);
    const asked = failure(jobs.peer(ours).ask(undefined, { timeout: false }));
    await until(() => expect(ours.stats.messagesIn).toBe(163));
    const question = answers.find((one) => one.method === 'ask')!;
    await raw.writeJSON({ jsonrpc: '2.0', id: question.id, result: 1 });
    expect(await asked).toBeUndefined();
    raw.terminate();
  });

  it('of events ends the connection with 1013 when no handler settles for 10 s at its bound', async () => {
    for (const way of ways.slice(0, 2)) {
      const { raw, ours, reports, release, receive, note, job } = setUp(
        way,
        { concurrency: 1 },
        {
          maxBufferedAmount: MIB,
        },
      );
      receive();
      job('first');
      for (let i = 0; i < 300; i++) note(i, 'x'.repeat(8 * KIB));
      await turns();
      await vi.advanceTimersByTimeAsync(10_200);
      await turns();
      const read = ours.stats.messagesIn;
      expect(read).toBeGreaterThan(120);
      expect(read).toBeLessThan(140);
      // A handler that settles starts the time again.
      await vi.advanceTimersByTimeAsync(9_000);
      release[0]!();
      await until(() => expect(release).toHaveLength(2));
      await vi.advanceTimersByTimeAsync(9_000);
      expect(ours.state).toBe('open');
      await vi.advanceTimersByTimeAsync(1_500);
      await turns();
      await vi.advanceTimersByTimeAsync(10_500);
      expect(await ours.closed).toMatchObject({ code: 1013 });
      expect(reports.at(-1)).toMatch(
        /1013: no handler has settled for 10 s, and the events behind note/,
      );
      raw.terminate();
    }
  });

  it('of events ends the connection of a page with 3008', async () => {
    const socket = openSocket();
    const page = fromWebSocket(socket, { maxBufferedAmount: 50_000 });
    jobs.connect(page, { job: never, note: never, ask: never }, { concurrency: 1 });
    socket.message(call(1, 'job', [1]));
    const ack = JSON.stringify({ jsonrpc: '2.0', method: 'note', params: ['x'.repeat(5_000)] });
    for (let i = 0; i < 30; i++) socket.message(ack);
    let waited = 0;
    for (; page.state === 'open' && waited < 30_000; waited += 100) {
      await vi.advanceTimersByTimeAsync(100);
      await turns(2);
    }
    expect(waited).toBeGreaterThan(19_800);
    expect(waited).toBeLessThan(21_500);
    expect(page.state).toBe('closing');
    expect(socket.closes).toEqual([[3008, 'too many messages wait']]);
  });

  it.each([
    [3_000, 1_000],
    [12_000, 20],
  ])('passes %i events of %i bytes at once to handlers of 5 ms, in order', async (count, size) => {
    const [client, server] = connPair();
    const seen: number[] = [];
    const note = async ([n]: [number, string]): Promise<void> => {
      seen.push(n);
      await new Promise((resolve) => setTimeout(resolve, 5));
    };
    quietly(jobs.serve({ job: never, ask: never, note })(server));
    const peer = jobs.connect(client, { job: never, ask: never, note: never });
    const pad = 'x'.repeat(size);
    for (let n = 0; n < count; n++) void peer.note([n, pad]);
    for (let i = 0; seen.length < count && i < 10_000; i++) {
      await vi.advanceTimersByTimeAsync(5);
      await turns(3);
    }
    expect(seen).toEqual(Array.from({ length: count }, (_, n) => n));
  });
});

describe('H4 beside messages that wait', () => {
  useFakeClock();

  it.each(ways)(
    'answers, cancels and unknown names are handled when they are read, through %s',
    async (way) => {
      const { raw, ours, answers, receive, cancel, job, aborted, started } = setUp(way);
      receive();
      for (let i = 0; i < 70; i++) job(i);
      await until(() => expect(started).toHaveLength(64));
      void raw.send('{"jsonrpc":"2.0","id":"$/alive","method":"$/alive"}');
      void raw.send(call('u', 'unknown', []));
      void raw.send('{');
      cancel(2);
      cancel(69);
      await until(() => expect(aborted).toHaveLength(1));
      await until(() =>
        expect(answers).toMatchObject([
          { id: '$/alive', result: null },
          { id: 'u', error: { code: -32_601 } },
          { id: null, error: { code: -32_700 } },
          { id: 69, error: { code: -32_800 } },
        ]),
      );
      expect(ours.state).toBe('open');
      raw.terminate();
    },
  );

  it.each(ways)(
    'a close by this end with `discard` drops them, also after the end, through %s',
    async (way) => {
      const all = ['first', 'second', 'third'];
      for (const [code, discard, handled] of [
        [4401, true, ['first']],
        [1000, true, ['first']],
        [1000, false, all],
        [1001, false, all],
      ] as const) {
        for (const isLater of [false, true]) {
          const { raw, ours, started, release, job, note } = setUp(way, { concurrency: 1 });
          job('first');
          job('second');
          note('third');
          await until(() => expect(ours.stats.messagesIn).toBe(3));
          quietly(ours.close(code, '', { discard }));
          if (isLater) {
            quietly(raw.discardReads());
            await ours.closed;
          }
          for (let i = 0; i < handled.length; i++) {
            await until(() => expect(release.length).toBeGreaterThan(i));
            release[i]!();
          }
          await turns(5);
          expect({ code, discard, started }).toEqual({ code, discard, started: handled });
          raw.terminate();
        }
      }
    },
  );

  it('an end without a close releases them, while no handler settles', async () => {
    for (const way of ways) {
      const { raw, ours, started, job } = setUp(way);
      for (let i = 0; i < 70; i++) job(i, 'x'.repeat(KIB));
      await until(() => expect(started).toHaveLength(64));
      await settled(ours);
      const kept = (): number => internalsOf(ours).connection.control!.reads!.keptBytes;
      expect(kept()).toBeGreaterThan(6 * KIB);
      raw.terminate();
      await ours.closed;
      await until(() => expect(kept()).toBe(0));
    }
  });

  it('is the end of the connection', async () => {
    for (const way of ways) {
      const { raw, started, aborted, note } = setUp(way);
      for (let i = 0; i < 300; i++) note(i);
      await until(() => expect(started).toHaveLength(64));
      quietly(raw.close());
      await until(() => expect(aborted).toHaveLength(64));
    }
  });
});

describe('H5 answers', () => {
  it('that wait for a slow client hold up handlers: 64, or 1 MiB', async () => {
    for (const [length, most] of [
      [1_000, 64 + 70],
      [100_000, 64 + 12],
    ] as const) {
      let started = 0;
      const [raw, ours] = connPair({ highWaterMark: 100, report: () => {} });
      const text = 'x'.repeat(length);
      const job = async (): Promise<string> => {
        started++;
        await Promise.resolve();
        return text;
      };
      quietly(jobs.serve({ job, note: never, ask: never })(ours));
      for (let i = 0; i < 1_000; i++) quietly(raw.send(call(i, 'job', [])));
      await turns(300);
      expect(started).toBeGreaterThan(10);
      expect(started).toBeLessThanOrEqual(most + 64);
      const answers: Answer[] = [];
      receiveAnswers(raw, answers);
      await until(() => expect(answers).toHaveLength(1_000));
      raw.terminate();
    }
  });

  it('that nothing reads leave reading paused without an end, a report or a refusal', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const reports: unknown[] = [];
    const [raw, ours] = connPair({ report: (error) => void reports.push(error) });
    quietly(jobs.serve({ job: async (n) => n, note: never, ask: never })(ours));
    for (let i = 0; i < 400; i++) quietly(raw.send(call(i, 'job', [i, 'x'.repeat(30_000)])));
    await turns();
    const read = ours.stats.messagesIn;
    expect(read).toBeLessThan(300);
    for (let i = 0; i < 6; i++) {
      await vi.advanceTimersByTimeAsync(5_000);
      await turns();
    }
    expect(ours.stats.messagesIn).toBe(read);
    expect([ours.state, reports]).toEqual(['open', []]);
    const answers: Answer[] = [];
    receiveAnswers(raw, answers);
    await until(() => expect(answers).toHaveLength(400));
    expect(errorsOf(answers)).toEqual([]);
    raw.terminate();
    vi.useRealTimers();
  });
});

describe('H6 refusals that the peer does not read', () => {
  it.each([
    ['broken messages', '{'],
    ['unknown methods', call('x'.repeat(2_000), 'unknown', [])],
    ['questions', JSON.stringify({ jsonrpc: '2.0', id: 'x'.repeat(2_000), method: '$/alive' })],
  ])('end the connection with 1013 above 1 MiB: %s', async (_, text) => {
    const reports: string[] = [];
    const [raw, ours] = connPair({ report: (error) => void reports.push(String(error)) });
    quietly(jobs.serve({ job: never, note: never, ask: never })(ours));
    const flood = async (conn: Conn): Promise<void> => {
      while (conn.state === 'open' && ours.state === 'open') {
        for (let i = 0; i < 100; i++) quietly(conn.send(text));
        await turns(1);
        expect(ours.bufferedAmount).toBeLessThan(3 * MIB);
      }
    };
    await flood(raw);
    expect(ours.state).not.toBe('open');
    expect(reports.join()).toMatch(/1013.*refusals wait/);
    raw.terminate();
  });
});
