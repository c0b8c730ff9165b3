import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { CloseCode, type Conn, serve, type WebSocketServer } from '@ws/node-server';
import { generate } from 'selfsigned';
import { afterEach, describe, expect, it } from 'vitest';
import { LoadRun, type ShareResult } from '../../src/client/load-run.ts';
import type { LoadPlan } from '../../src/client/plan.ts';
import { Tally } from '../../src/client/tally.ts';
import { LIBRARIES } from '../../src/scenarios/serve.ts';

const ended: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(ended.splice(0).map((end) => end()));
});

/** Starts a server with this handler. */
async function startServer(handle: (conn: Conn) => unknown): Promise<WebSocketServer> {
  const server = await serve({ host: '127.0.0.1' }, async (conn) => {
    await Promise.resolve(handle(conn)).catch(() => {});
  });
  ended.push(() => server.close({ timeout: 100 }));
  return server;
}

/** A handler that sends the replies to message `n` of a connection, counted from 1. */
function answering(reply: (data: Uint8Array, n: number) => readonly Uint8Array[]) {
  return (conn: Conn): Promise<unknown> => {
    let n = 0;
    return conn.receive((message) => {
      for (const data of reply(message.data.slice(), ++n))
        void conn.writeMessage(message.type, data);
    });
  };
}

function planOf(url: string, plan: Partial<LoadPlan> = {}): LoadPlan {
  return {
    url,
    connections: 2,
    payload: 64,
    text: false,
    depth: 4,
    rate: undefined,
    durationMs: 60,
    timeoutMs: 2000,
    compression: false,
    insecure: false,
    headers: [],
    subprotocols: [],
    ...plan,
  };
}

async function load(
  url: string,
  plan: Partial<LoadPlan> = {},
): Promise<{ tally: Tally; result: ShareResult; kinds: string[] }> {
  const run = new LoadRun({ plan: planOf(url, plan), index: 0, of: 1 });
  await run.open();
  const result = await run.run();
  const tally = new Tally();
  tally.add(result.tally);
  return { tally, result, kinds: [...tally.failures.keys()].toSorted() };
}

describe('LoadRun against a correct server', () => {
  it.each(['ours', 'ws'])('finds no faults in the server of %s', async (library) => {
    const server = await LIBRARIES[library]!({ port: 0, host: '127.0.0.1', compression: true });
    ended.push(() => server.close());
    for (const plan of [{}, { text: true, payload: 2000, compression: true }, { payload: 0 }]) {
      const { tally, result, kinds } = await load(server.url, plan);
      expect(kinds).toEqual([]);
      expect(tally.echoed).toBeGreaterThan(4);
      expect(tally.echoed).toBe(tally.sent);
      expect(result.extensions.join()).toContain(plan.compression ? 'permessage-deflate' : '');
    }
  });

  it('spreads the messages of a rate evenly over the connections', async () => {
    const counts: number[] = [];
    const server = await startServer((conn) => {
      const mine = counts.push(0) - 1;
      return conn.receive((message) => {
        counts[mine]!++;
        return conn.send(message);
      });
    });
    const { tally, kinds } = await load(server.url, {
      connections: 4,
      rate: 800,
      durationMs: 100,
    });
    expect(kinds).toEqual([]);
    expect([tally.sent, tally.echoed]).toEqual([80, 80]);
    expect(counts).toEqual([20, 20, 20, 20]);
  });

  it('accepts a self-signed certificate with `insecure` only', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
    const server = await serve({ host: '127.0.0.1', tls: { key, cert } }, async (conn) => {
      await conn.receive((message) => conn.send(message));
    });
    ended.push(() => server.close({ timeout: 100 }));
    expect((await load(server.url, { insecure: true })).kinds).toEqual([]);
    const strict = new LoadRun({ plan: planOf(server.url), index: 0, of: 1 });
    expect((await strict.open()).failures).toEqual({
      'connect: DEPTH_ZERO_SELF_SIGNED_CERT': { count: 2, example: expect.any(String) as string },
    });
  });

  it('sends its headers and offers its subprotocols', async () => {
    const seen: unknown[] = [];
    const server = await serve({ host: '127.0.0.1', subprotocols: ['b'] }, async (conn, req) => {
      seen.push(conn.subprotocol, req.headers['x-token']);
      await conn.receive((message) => conn.send(message));
    });
    ended.push(() => server.close({ timeout: 100 }));
    const plan = {
      connections: 1,
      headers: [['X-Token', 'abc']],
      subprotocols: ['a', 'b'],
    } as const;
    expect((await load(server.url, plan)).kinds).toEqual([]);
    expect(seen).toEqual(['b', 'abc']);
  });

  it('splits a rate among processes', async () => {
    const server = await startServer((conn) => conn.receive((message) => conn.send(message)));
    const plan = planOf(server.url, { connections: 5, rate: 500, durationMs: 100 });
    const runs = [0, 1].map((index) => new LoadRun({ plan, index, of: 2 }));
    const opened = await Promise.all(runs.map((run) => run.open()));
    expect(opened.map(({ open }) => open)).toEqual([3, 2]);
    const results = await Promise.all(runs.map((run) => run.run()));
    expect(results.map(({ tally }) => tally.sent)).toEqual([30, 20]);
  });

  it('ends early on stop, without errors for the messages in flight', async () => {
    const server = await startServer((conn) => conn.receive(() => {}));
    const run = new LoadRun({ plan: planOf(server.url, { durationMs: 60_000 }), index: 0, of: 1 });
    await run.open();
    const running = run.run();
    run.stop();
    const { abandoned, tally } = await running;
    expect(abandoned).toBe(8);
    expect(tally.failures).toEqual({});
  });
});

describe('LoadRun against a faulty server', () => {
  it.each([
    ['missing', 'drops an echo', (data: Uint8Array, n: number) => (n === 5 ? [] : [data])],
    [
      'double',
      'sends an echo twice',
      (data: Uint8Array, n: number) => (n === 5 ? [data, data] : [data]),
    ],
    [
      'wrong content',
      'changes the last byte of an echo',
      (data: Uint8Array, n: number) => [n === 5 ? data.with(63, data[63]! ^ 1) : data],
    ],
    [
      'wrong length',
      'truncates an echo',
      (data: Uint8Array, n: number) => [n === 5 ? data.subarray(1) : data],
    ],
  ])('counts %s when the server %s', async (kind, _, reply) => {
    const server = await startServer(answering(reply));
    const { tally } = await load(server.url);
    expect(Object.fromEntries(tally.failures)).toEqual({
      [kind]: { count: 2, example: expect.any(String) as string },
    });
    expect(tally.sent).toBeGreaterThan(10);
  });

  it('detects an echo of the wrong type', async () => {
    const server = await startServer((conn) =>
      conn.receive((m) => conn.writeMessage(1, m.data.slice())),
    );
    const { kinds } = await load(server.url, { compression: true });
    expect(kinds).toEqual(['wrong type']);
  });

  it('detects echoes out of order', async () => {
    const held: Uint8Array[] = [];
    const reply = (data: Uint8Array, n: number): Uint8Array[] =>
      n % 2 === 1 ? (held.push(data), []) : [data, held.pop()!];
    const server = await startServer(answering(reply));
    const { kinds } = await load(server.url, { connections: 1 });
    expect(kinds).toContain('out of order');
    expect(kinds).not.toContain('wrong content');
  });

  it('detects a surplus message after the last echo', async () => {
    let seen = 0;
    const server = await startServer(
      answering((data) => (++seen === 20 ? [data, Buffer.from('one more')] : [data])),
    );
    const plan = { connections: 1, depth: 100, rate: 200, durationMs: 100 };
    expect((await load(server.url, plan)).kinds).toEqual(['extra']);
  });

  it('detects an unrequested message', async () => {
    const server = await startServer(async (conn) => {
      await conn.send('welcome');
      await conn.receive((message) => conn.send(message));
    });
    const { tally, kinds } = await load(server.url);
    expect(tally.errors).toBe(2);
    // The message may arrive before or after the first one is sent.
    for (const kind of kinds) expect(['extra', 'wrong length']).toContain(kind);
  });

  it('reports close codes and lost messages', async () => {
    let n = 0;
    const server = await startServer((conn) => {
      const code = n++ === 0 ? CloseCode.InternalServerErr : 4321;
      return conn.receive(() => void conn.close(code, 'enough'));
    });
    const { tally, kinds } = await load(server.url, { durationMs: 60_000 });
    expect(kinds).toEqual(['close: 1011', 'close: 4321', 'missing']);
    expect(tally.failures.get('close: 4321')?.example).toContain('enough');
    expect(tally.failures.get('missing')?.count).toBe(8);
  });

  it('reports broken connections', async () => {
    const server = await startServer((conn) => conn.receive(() => conn.terminate()));
    const { kinds } = await load(server.url, { durationMs: 60_000 });
    expect(kinds.join()).toMatch(/^(close: 1006|connection: \w+),missing$/);
  });

  it('gives up on a server without echoes', async () => {
    const server = await startServer((conn) => conn.receive(() => {}));
    const { tally, kinds } = await load(server.url, { timeoutMs: 100 });
    expect(kinds).toEqual(['timeout']);
    expect(tally.failures.get('timeout')?.count).toBe(tally.sent);
    expect([tally.latency.totalCount, tally.echoed]).toEqual([tally.sent, 0]);
    expect(tally.latency.minNonZeroValue).toBeGreaterThanOrEqual(99_900);
  });

  it('ignores late echoes of messages that it gave up', async () => {
    let stalled = true;
    const server = await startServer((conn) =>
      conn.receive(async (message) => {
        if (stalled) await new Promise((resolve) => setTimeout(resolve, 250));
        stalled = false;
        await conn.send(message);
      }),
    );
    const plan = { connections: 1, depth: 600, timeoutMs: 100, durationMs: 350 };
    const { tally, kinds } = await load(server.url, plan);
    expect(kinds).toEqual(['timeout']);
    expect(tally.failures.get('timeout')?.count).toBeGreaterThanOrEqual(600);
  });

  it('counts the wait of every message behind a stalled server, at a fixed rate', async () => {
    let first = true;
    const server = await startServer((conn) =>
      conn.receive(async (message) => {
        if (first) await new Promise((resolve) => setTimeout(resolve, 150));
        first = false;
        await conn.send(message);
      }),
    );
    const plan = { connections: 1, rate: 200, durationMs: 200, depth: 1 };
    const { tally } = await load(server.url, plan);
    expect(tally.echoed).toBe(40);
    // The messages due in the first half of the stall wait for the other half, with one in flight.
    expect(tally.latency.getValueAtPercentile(51)).toBeGreaterThan(50_000);
  });
});

describe('LoadRun with fewer connections than planned', () => {
  it.each([
    ['were refused', true],
    ['have ended', false],
  ])('skips the messages of connections that %s', async (_, refused) => {
    let n = 0;
    const checkOrigin = (): boolean => !refused || n++ % 2 === 0;
    const server = await serve({ host: '127.0.0.1', checkOrigin }, async (conn) => {
      if (!refused && n++ % 2 === 1) return void (await conn.close(CloseCode.GoingAway));
      await conn.receive((message) => conn.send(message)).catch(() => {});
    });
    ended.push(() => server.close({ timeout: 100 }));
    const run = new LoadRun({
      plan: planOf(server.url, { connections: 4, rate: 800, durationMs: 100 }),
      index: 0,
      of: 1,
    });
    const { open } = await run.open();
    const { tally, opened } = await run.run();
    expect(opened).toBe(open);
    expect(tally.due + tally.skipped).toBe(80);
    expect(tally.skipped).toBeGreaterThan(0);
    if (refused) expect(tally.due).toBe(40);
  });

  it('skips the messages after the end of the last connection', async () => {
    const server = await startServer((conn) =>
      conn.receive(() => void conn.close(CloseCode.GoingAway)),
    );
    const plan = { connections: 1, rate: 100, durationMs: 60_000 };
    const { tally } = await load(server.url, plan);
    expect(tally.due + tally.skipped).toBe(6000);
    expect(tally.due).toBeLessThan(1000);
  });
});

describe('LoadRun without a connection', () => {
  it('reports a refused connection', async () => {
    const server = await startServer(() => {});
    await server.close({ timeout: 1 });
    const run = new LoadRun({ plan: planOf(server.url, { connections: 1000 }), index: 0, of: 1 });
    const { open, failures } = await run.open();
    expect(open).toBe(0);
    // The other connections are not attempted.
    expect(failures['connect: ECONNREFUSED']?.count).toBe(64);
  });

  it.each([
    ['HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n', 'handshake: status 403'],
    ['HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\n\r\n', 'handshake: wrong answer'],
    ['SSH-2.0-OpenSSH\r\n', 'handshake: no HTTP'],
  ])('classifies the answer %j', async (answer, kind) => {
    const server: Server = createServer((socket) => {
      socket.on('error', () => {});
      socket.resume().end(answer);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ended.push(() => new Promise((resolve) => server.close(resolve)));
    const { port } = server.address() as AddressInfo;
    const plan = planOf(`ws://127.0.0.1:${port}`, { connections: 1 });
    const { failures } = await new LoadRun({ plan, index: 0, of: 1 }).open();
    expect(Object.keys(failures)).toEqual([kind]);
  });

  it('rejects an invalid header', async () => {
    const plan = planOf('ws://127.0.0.1:1', { headers: [['Bad name', 'x']] });
    await expect(new LoadRun({ plan, index: 0, of: 1 }).open()).rejects.toThrow('Bad name');
  });

  it('rejects an invalid subprotocol', () => {
    const plan = planOf('ws://127.0.0.1:1', { subprotocols: ['a b'] });
    expect(() => new LoadRun({ plan, index: 0, of: 1 })).toThrow('subprotocols');
  });
});
