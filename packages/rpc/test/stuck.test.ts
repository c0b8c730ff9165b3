import { fromWebSocket } from '@ws/browser';
import { type Conn, type ConnLike, connPair } from '@ws/conn';
import { type Session } from '@ws/hub';
import { contract, event, method } from '@ws/rpc';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { openSocket } from '../../browser/test/fake-web-socket.ts';
import { inHub } from './in-hub.ts';
import { call, quietly, settled, until } from './pairs.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

const open: Conn[] = [];

afterEach(() => {
  for (const conn of open.splice(0)) conn.terminate();
  vi.useRealTimers();
});

const ways = ['serve', 'listener', 'connect'] as const;
const names = { job: method(z.number(), z.number()), note: event(z.undefined()) };
const jobs = contract({ server: names, client: names });

interface Result {
  readonly id: number;
  readonly result?: number;
  readonly error?: { readonly code: number };
}

type Job = (input: number, context: { readonly signal: AbortSignal }) => Promise<number>;

/** A handler that ends by its signal alone. */
const untilAborted: Job = (input, { signal }) =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(input)));

/** An end that reads by the contract, and a peer that speaks JSON-RPC by hand. */
function setUp(way: (typeof ways)[number], job: Job) {
  const reports: unknown[] = [];
  const [raw, ours] = connPair({ report: (error) => void reports.push(error) });
  open.push(raw);
  let notes = 0;
  const handlers = { job, note: () => void notes++ };
  read(way, ours, handlers);
  const results: Result[] = [];
  // Without the signs of life for a page.
  const receive = () =>
    void raw.receive((message) => {
      const result = message.json() as Result;
      if (result.id !== undefined) results.push(result);
    });
  const cancel = (id: number) =>
    void raw.writeJSON({ jsonrpc: '2.0', method: '$/cancelRequest', params: { id } });
  return { raw, ours, results, reports, receive, cancel, notes: () => notes };
}

function read(way: string, conn: ConnLike, handlers: Parameters<typeof jobs.connect>[1]): void {
  if (way === 'connect') jobs.connect(conn, handlers);
  else if (way === 'serve') {
    quietly(jobs.serve(handlers)(conn));
  } else inHub(conn as never, jobs.listener<Session>(handlers));
}

describe.each(ways)('a handler that ends only by its signal, through %s', (way) => {
  it('gets a cancel behind 300 requests 10 s after the pause', async () => {
    const { raw, ours, results, reports, receive, cancel } = setUp(way, (input, context) =>
      input === 0 ? untilAborted(input, context) : Promise.resolve(input),
    );
    receive();
    for (let i = 0; i < 300; i++) void raw.send(call(i, 'job', [i]));
    cancel(0);
    await until(() => expect(ours.stats.messagesIn).toBeGreaterThanOrEqual(257));
    await vi.advanceTimersByTimeAsync(9_900);
    expect(results).toEqual([]);
    await vi.advanceTimersByTimeAsync(200);
    await until(() => expect(results).toHaveLength(300));
    expect(results.find(({ id }) => id === 0)).toMatchObject({ result: 0 });
    const refused = results.filter(({ error }) => error !== undefined);
    expect(refused).toHaveLength(300 - 257);
    for (const { error } of refused) expect(error!.code).toBe(-32_000);
    expect(reports).toHaveLength(1);
    expect(String(reports[0])).toMatch(/handler of job has not settled/);
  });

  it('is told of a close behind 300 events', async () => {
    let signal: AbortSignal | undefined;
    const { raw, ours } = setUp(way, (input, context) => {
      signal = context.signal;
      return untilAborted(input, context);
    });
    void raw.send(call(0, 'job', [0]));
    for (let i = 0; i < 300; i++) void raw.send('{"jsonrpc":"2.0","method":"note"}');
    await until(() => expect(ours.stats.messagesIn).toBeGreaterThanOrEqual(257));
    // Reading has paused.
    await settledTurns();
    void raw.close();
    // Before the time of the close itself is over.
    await vi.advanceTimersByTimeAsync(4_000);
    expect(signal!.aborted).toBe(false);
    // Reading may pause once more, at the end of the connection.
    await vi.advanceTimersByTimeAsync(16_200);
    await until(() => expect(signal!.aborted).toBe(true));
  });
});

describe('a handler that ends only by its signal, in a page', () => {
  it('gets a cancel behind 300 requests 10 s after the pause', async () => {
    const socket = openSocket();
    jobs.connect(fromWebSocket(socket), {
      job: (input, context) => (input === 0 ? untilAborted(input, context) : input),
      note: () => undefined,
    });
    for (let i = 0; i < 300; i++) socket.message(call(i, 'job', [i]));
    socket.message('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":0}}');
    await vi.advanceTimersByTimeAsync(9_900);
    expect(socket.sent).toEqual([]);
    await vi.advanceTimersByTimeAsync(200);
    await until(() => expect(socket.sent).toHaveLength(300));
    expect(socket.sent).toContain('{"jsonrpc":"2.0","id":0,"result":0}');
  });
});

describe('a handler that does not settle', () => {
  it('has later requests refused and events kept until it settles, and then reading pauses again', async () => {
    const release: (() => void)[] = [];
    const { raw, ours, results, reports, receive, notes } = setUp('serve', async (input) => {
      await new Promise<void>((resolve) => release.push(resolve));
      return input;
    });
    receive();
    for (let i = 0; i < 257; i++) void raw.send(call(i, 'job', [i]));
    await settled(ours);
    await vi.advanceTimersByTimeAsync(10_100);
    for (let i = 0; i < 50; i++) void raw.send('{"jsonrpc":"2.0","method":"note"}');
    for (let i = 0; i < 50; i++) void raw.send(call('late', 'job', [i]));
    // No other pause: each of them would last 10 s.
    await until(() => expect(results).toHaveLength(50));
    expect(reports.map(String)).toEqual([expect.stringMatching(/has not settled/)]);
    release[0]!();
    await until(() => expect(release).toHaveLength(2));
    for (let i = 0; i < 50; i++) void raw.send('{"jsonrpc":"2.0","method":"note"}');
    await settled(ours);
    for (let i = 1; i < 257; i++) {
      await until(() => expect(release.length).toBeGreaterThan(i));
      release[i]!();
    }
    await until(() => expect(notes()).toBe(100));
    expect(reports).toHaveLength(1);
  });

  it('in 10 s is not one of a series that each settle in less', async () => {
    const { raw, ours, results, reports, receive } = setUp('serve', async (input) => {
      if (input < 20) await new Promise((resolve) => setTimeout(resolve, 9_000));
      return input;
    });
    receive();
    for (let i = 0; i < 300; i++) void raw.send(call(i, 'job', [i]));
    await settled(ours);
    for (let i = 0; i < 20; i++) await vi.advanceTimersByTimeAsync(9_000);
    await until(() => expect(results).toHaveLength(300));
    expect(results.filter(({ error }) => error !== undefined)).toEqual([]);
    expect(reports).toEqual([]);
  });

  it('is not one whose answer waits for a peer that does not read', async () => {
    const { raw, ours, reports } = setUp('serve', async (input) => input);
    const id = 'x'.repeat(30_000);
    for (let i = 0; i < 400; i++) void raw.send(call(id, 'job', [i])).catch(() => {});
    await until(() => expect(ours.bufferedAmount).toBeGreaterThan(0));
    await settledTurns();
    const read = ours.stats.messagesIn;
    expect(read).toBeLessThan(300);
    await vi.advanceTimersByTimeAsync(25_000);
    await settledTurns();
    expect(ours.stats.messagesIn).toBe(read);
    expect(reports).toEqual([]);
    raw.terminate();
  });
});

async function settledTurns(): Promise<void> {
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
}
