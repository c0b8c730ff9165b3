import { connPair } from '@ws/conn';
import { type Session } from '@ws/hub';
import { contract, method } from '@ws/rpc';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { inHub } from './in-hub.ts';
import { call, failure, settled, setUp, setUpRaw, until, useFakeClock } from './pairs.ts';

useFakeClock();

/** A handler. The test settles its calls, in their order. */
function manual() {
  const waiting: (() => void)[] = [];
  const started: string[] = [];
  return {
    started,
    waiting,
    say: async ({ text }: { text: string }): Promise<{ at: number }> => {
      started.push(text);
      await new Promise<void>((resolve) => waiting.push(resolve));
      return { at: 0 };
    },
  };
}

const request = (id: unknown, text: string): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method: 'say', params: { text } });

describe('handlers', () => {
  it('run one after the other, in the order of the messages', async () => {
    const { started, waiting, say } = manual();
    const rooms: string[] = [];
    const { peer, clientConn } = setUp({
      server: { say, typing: ({ room }) => void rooms.push(room) },
    });
    const calls = ['a', 'b'].map((text) => peer.say({ text }));
    void peer.typing({ room: 'after' });
    await settled(clientConn);
    expect([started, rooms]).toEqual([['a'], []]);
    waiting[0]!();
    await calls[0];
    await until(() => expect(started).toEqual(['a', 'b']));
    expect(rooms).toEqual([]);
    waiting[1]!();
    await calls[1];
    await until(() => expect(rooms).toEqual(['after']));
  });

  it('run beside each other with concurrency', async () => {
    const { started, waiting, say } = manual();
    const { peer, clientConn } = setUp({ server: { say }, concurrency: 2 });
    const calls = ['a', 'b', 'c'].map((text) => peer.say({ text }));
    await settled(clientConn);
    expect(started).toEqual(['a', 'b']);
    waiting[1]!();
    await calls[1];
    await until(() => expect(started).toEqual(['a', 'b', 'c']));
  });

  it('keep their place when the call is cancelled, and are reported after 5 s', async () => {
    const { started, say } = manual();
    const { peer, clientConn, reports } = setUp({ server: { say } });
    const first = failure(peer.say({ text: 'first' }, { timeout: 1000 }));
    const second = failure(peer.say({ text: 'second' }, { timeout: 2000 }));
    await settled(clientConn);
    await vi.advanceTimersByTimeAsync(2_100);
    await Promise.all([first, second]);
    await settled(clientConn);
    expect(started).toEqual(['first']);
    const third = failure(peer.say({ text: 'third' }, { timeout: 20_000 }));
    await settled(clientConn);
    await vi.advanceTimersByTimeAsync(4_900);
    expect(reports).toEqual([]);
    await vi.advanceTimersByTimeAsync(300);
    await new Promise((turn) => setImmediate(turn));
    expect(reports).toHaveLength(1);
    expect(String(reports[0])).toMatch(
      /no handler has settled for 5 s: 1 run \(say\), and 1 calls/,
    );
    await vi.advanceTimersByTimeAsync(20_000);
    await third;
    expect(reports).toHaveLength(1);
  });

  it('are no stall when they settle in the turn after 5 s: the process may have had no CPU', async () => {
    const { waiting, say } = manual();
    const { peer, clientConn, reports } = setUp({ server: { say } });
    const calls = ['first', 'second', 'third'].map((text) => peer.say({ text }));
    await settled(clientConn);
    // The timer of the stall fires in the next turn. In this one, the input that waited for CPU is read.
    vi.advanceTimersByTime(5_100);
    await new Promise((turn) => setImmediate(turn));
    waiting[0]!();
    await calls[0];
    expect(reports).toEqual([]);
    await until(() => expect(waiting).toHaveLength(2));
    vi.advanceTimersByTime(5_100);
    await until(() => expect(reports).toHaveLength(1));
    for (const each of [1, 2]) {
      await until(() => waiting[each]!());
      await calls[each];
    }
  });

  it('may ask the other end', async () => {
    const { peer } = setUp({
      server: {
        say: async (_, context) => ({
          at: (await context.peer.confirm({ question: '' })) ? 1 : 2,
        }),
      },
    });
    expect(await peer.say({ text: '' })).toEqual({ at: 1 });
  });

  it('get the result of authenticate, and are told of the end', async () => {
    const seen: unknown[] = [];
    const signals: AbortSignal[] = [];
    const whoami = contract({ server: { whoami: method(z.undefined(), z.string()) } });
    const [client, server] = connPair();
    const serving = whoami.serve<{ name: string }>({
      whoami: (_, { auth, signal }) => {
        signals.push(signal);
        seen.push(auth);
        return new Promise<string>((resolve) => {
          signal.addEventListener('abort', () => resolve(auth.name));
        });
      },
    })(server, undefined, { auth: { name: 'ann' } });
    const peer = whoami.connect(client, {});
    const call = failure(peer.whoami());
    await settled(client);
    await client.close();
    await call;
    await serving;
    expect(seen).toEqual([{ name: 'ann' }]);
    expect(signals[0]!.aborted).toBe(true);
  });

  it('are waited for by the promise of serve', async () => {
    const { waiting, say } = manual();
    const { peer, clientConn, serving } = setUp({ server: { say } });
    let isServed = false;
    const served = serving.then(() => {
      isServed = true;
    });
    const call = failure(peer.say({ text: '' }));
    await settled(clientConn);
    await clientConn.close();
    await call;
    expect(isServed).toBe(false);
    waiting[0]!();
    await served;
  });
});

describe('the end of a connection', () => {
  it('is told to handlers that begin after a close of the peer', async () => {
    let begun = 0;
    const { client, serving } = setUpRaw({
      say: (_, { signal }) => {
        begun++;
        return new Promise((resolve) => {
          signal.addEventListener('abort', () => resolve({ at: 0 }));
        });
      },
    });
    for (let i = 0; i < 3; i++) await client.send(request(i, ''));
    await client.close();
    await serving;
    expect(begun).toBe(3);
  });

  it('is no error of a handler that asks the peer', async () => {
    const { peer, clientConn, serving, reports } = setUp({
      server: {
        say: async (_, context) => ({
          at: (await context.peer.confirm({ question: '' })) ? 1 : 0,
        }),
      },
      client: { confirm: () => new Promise<never>(() => {}) },
    });
    const asked = failure(peer.say({ text: '' }));
    await settled(clientConn);
    clientConn.terminate();
    await serving.catch(() => {});
    await asked;
    expect(reports).toEqual([]);
  });
});

describe('the queue of requests', () => {
  it('stops reading at 256 requests, and loses none', async () => {
    const { started, waiting, say } = manual();
    const { client, serverConn } = setUpRaw({ say });
    const ids: unknown[] = [];
    void client.receive((message) => void ids.push((message.json() as { id: unknown }).id));
    for (let i = 0; i < 1_000; i++) void client.send(request(i, String(i)));
    await until(() => expect(started).toHaveLength(1));
    await settled(serverConn);
    for (let i = 0; i < 1_000; i++) {
      await until(() => expect(waiting).toHaveLength(i + 1));
      waiting[i]!();
    }
    await until(() => expect(ids).toHaveLength(1_000));
    expect(ids).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
  });

  it('stops reading at 1 MiB', async () => {
    const { started, waiting, say } = manual();
    const { client } = setUpRaw({ say });
    const text = 'x'.repeat(600_000);
    for (let i = 0; i < 8; i++) void client.send(request(i, text));
    await until(() => expect(started).toHaveLength(1));
    for (let i = 0; i < 8; i++) {
      await until(() => expect(waiting).toHaveLength(i + 1));
      waiting[i]!();
      expect(await client.readMessage().then((message) => message.json())).toMatchObject({ id: i });
    }
  });

  it('answers a cancelled request, and runs no handler for it', async () => {
    const { started, waiting, say } = manual();
    const { client, next } = setUpRaw({ say });
    for (const id of ['a', 'b', 'c']) await client.send(request(id, id));
    await client.send('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"b"}}');
    expect(await next()).toMatchObject({ id: 'b', error: { code: -32_800 } });
    waiting[0]!();
    expect(await next()).toMatchObject({ id: 'a', result: { at: 0 } });
    await until(() => expect(waiting).toHaveLength(2));
    waiting[1]!();
    expect(await next()).toMatchObject({ id: 'c', result: { at: 0 } });
    expect(started).toEqual(['a', 'c']);
  });

  it.each([undefined, null, {}, [], 'x', { id: {} }, { id: 99 }])(
    'ignores the cancel %j',
    async (params) => {
      const { client, ask } = setUpRaw();
      await client.writeJSON({ jsonrpc: '2.0', method: '$/cancelRequest', params });
      expect(await ask(request(1, 'a'))).toMatchObject({ id: 1, result: { at: 1 } });
    },
  );

  it('takes a cancel that is a request for an unknown method', async () => {
    const { ask } = setUpRaw();
    const cancel = { jsonrpc: '2.0', id: 7, method: '$/cancelRequest', params: { id: 1 } };
    expect(await ask(cancel)).toMatchObject({ id: 7, error: { code: -32_601 } });
  });

  it('keeps nothing of a pause that is over', async () => {
    const { client, serverConn } = setUpRaw({
      say: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        return { at: 0 };
      },
    });
    const waits = vi.spyOn(serverConn.closed, 'then');
    let answers = 0;
    void client.receive(() => void answers++);
    for (let i = 0; i < 1_000; i++) void client.send(request(i, 'x'.repeat(10_000)));
    await until(() => expect(answers).toBe(1_000));
    expect(waits.mock.calls).toHaveLength(1);
  });

  it('keeps events above its bound while a handler waits for an answer, in their order', async () => {
    const rooms: string[] = [];
    const { client, next, serverConn, reports } = setUpRaw({
      say: async (_, context) => ({ at: (await context.peer.confirm({ question: '' })) ? 1 : 0 }),
      typing: ({ room }) => void rooms.push(room),
    });
    await client.send(request(0, ''));
    const { id } = (await next()) as { id: number };
    const sent = Array.from({ length: 1_000 }, (_, i) => String(i));
    for (const room of sent) {
      await client.writeJSON({ jsonrpc: '2.0', method: 'typing', params: { room } });
    }
    await settled(client);
    expect([serverConn.stats.messagesIn, rooms]).toEqual([1_001, []]);
    await client.writeJSON({ jsonrpc: '2.0', id, result: true });
    await until(() => expect(rooms).toEqual(sent));
    expect(reports).toEqual([]);
  });
});

describe('an end that does not read', () => {
  it('holds up the handlers, so that answers stay bounded, until it ends', async () => {
    let handled = 0;
    const { client, serverConn, serving } = setUpRaw({
      say: () => {
        handled++;
        return { at: 0 };
      },
    });
    // The client never reads: the answers fill the connection.
    for (let i = 0; i < 200; i++) void client.send(request('x'.repeat(50_000), ''));
    await until(() => expect(serverConn.bufferedAmount).toBeGreaterThan(0));
    expect(serverConn.bufferedAmount).toBeLessThan(4 * 1024 * 1024);
    expect(serverConn.state).toBe('open');
    expect(handled).toBeLessThan(200);
    client.terminate();
    await expect(serving).rejects.toBeInstanceOf(Error);
  });
});

describe('an answer for which the connection has no room', () => {
  const blobs = contract({ server: { blob: method(z.number(), z.string()) } });

  it.each(['serve', 'listener'])('is -32603 at its caller, through %s', async (way) => {
    const reports: unknown[] = [];
    const [client, server] = connPair({
      highWaterMark: 50_000,
      maxBufferedAmount: 100_000,
      report: (error) => void reports.push(error),
    });
    const release: (() => void)[] = [];
    const blob = async () => {
      await new Promise<void>((resolve) => release.push(resolve));
      return 'x'.repeat(90_000);
    };
    if (way === 'serve') void blobs.serve({ blob }, { concurrency: 9 })(server);
    else
      inHub(server, blobs.listener<Session>({ blob }, { concurrency: 9 }), {
        // Less than an answer has.
        maxQueuedBytes: 80_000,
        overflow: 'latest',
      });
    for (let id = 0; id < 9; id++) void client.send(call(id, 'blob', [id]));
    await until(() => expect(release).toHaveLength(9));
    for (const resolve of release) resolve();
    await until(() => expect(reports).toHaveLength(1));
    const answers = [];
    for (let i = 0; i < 9; i++) answers.push((await client.readMessage()).json());
    const errors = answers.filter((answer) => 'error' in (answer as object));
    expect(errors.length).toBeGreaterThan(0);
    for (const error of errors) expect(error).toMatchObject({ error: { code: -32_603 } });
    expect(new Set(answers.map((answer) => (answer as { id: number }).id)).size).toBe(9);
    // Reports are at most one a second.
    expect(reports).toHaveLength(1);
  });
});
