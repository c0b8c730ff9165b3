import {
  BackpressureError,
  type CloseInfo,
  CloseSentError,
  Conn,
  type ConnLike,
  connPair,
  type MessageWriter,
  ReadPendingError,
  WebSocketError,
} from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { TestTransport } from '@ws/tests';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ReconnectingConn, type ReconnectingConnOptions } from '../src/index.ts';
import { connOfAnotherClass, type Dials, dials, fast } from './dials.ts';

function live(all: Dials, options: ReconnectingConnOptions = {}): ReconnectingConn {
  const result = new ReconnectingConn(all.dial, { ...fast, ...options });
  onTestFinished(() => void result.close());
  return result;
}

/** Waits for the next event of `on`. */
function next(conn: ReconnectingConn, event: 'open'): Promise<Conn>;
function next(conn: ReconnectingConn, event: 'close'): Promise<CloseInfo>;
function next(conn: ReconnectingConn, event: 'open' | 'close'): Promise<unknown> {
  return new Promise((resolve) => {
    const remove = conn.on(event as 'open', (argument) => {
      remove();
      resolve(argument);
    });
  });
}

const text = async (conn: Conn): Promise<string> => (await conn.readMessage()).text();

describe('a mistake in an argument that nobody awaits', () => {
  it.each<[string, (client: ReconnectingConn) => Promise<unknown>]>([
    ['send', (client) => client.send({} as never)],
    ['receive', (client) => client.receive('x' as never)],
    ['close', (client) => client.close('x' as never)],
  ])('is reported: %s', async (where, call) => {
    const reports: unknown[] = [];
    const client = live(
      { ...dials(), dial: () => new Promise(() => {}) },
      { report: (error, context) => reports.push([(error as Error).name, context.where]) },
    );
    void call(client);
    await new Promise((resolve) => void setImmediate(resolve));
    expect(reports).toEqual([['TypeError', where]]);
  });
});

describe('ReconnectingConn.send', () => {
  it('sends what waited in the order of the calls, before later messages', async () => {
    const all = dials(new Error('refused'));
    const client = live(all);
    expect(client.state).toBe('connecting');
    const bytes = Uint8Array.of(1);
    const waiting = [client.send('one'), client.send(bytes)];
    bytes[0] = 9;
    await next(client, 'open');
    const later = client.send('three');
    const server = await all.server(0);
    expect(await text(server)).toBe('one');
    expect((await server.readMessage()).data).toEqual(Uint8Array.of(1));
    expect(await text(server)).toBe('three');
    await Promise.all([...waiting, later]);
  });

  it('sends what waited over a connection of a class of the application', async () => {
    const all = dials(new Error('refused'));
    const dial = (options: { signal: AbortSignal }) => all.dial(options).then(connOfAnotherClass);
    const client = new ReconnectingConn(dial, { ...fast, report: () => {} });
    const waiting = [client.send('one'), client.send(Uint8Array.of(1))];
    const server = await all.server(0);
    expect(await text(server)).toBe('one');
    expect((await server.readMessage()).data).toEqual(Uint8Array.of(1));
    await Promise.all(waiting);
    void server.discardReads();
    expect(await client.close()).toEqual({ unsent: [] });
  });

  it('rejects a message that has waited when a class of the application throws', async () => {
    const all = dials();
    const dial = async (options: { signal: AbortSignal }): Promise<ConnLike> => {
      const conn = await all.dial(options);
      return new Proxy(connOfAnotherClass(conn), {
        get(target, name) {
          if (name !== 'writeMessage') return Reflect.get(target, name) as unknown;
          return (type: 1, data: Uint8Array) => {
            if (data.length === 3) throw new Error('no');
            return conn.writeMessage(type, data);
          };
        },
      });
    };
    const client = new ReconnectingConn(dial, { ...fast, report: () => {} });
    onTestFinished(() => void client.close());
    const sent = [client.send('one'), client.send('three')];
    await expect(sent[0]).rejects.toThrow('no');
    await sent[1];
    expect(await text(await all.server(0))).toBe('three');
  });

  it('keeps the order while the write of a connection before settles late', async () => {
    const all = dials();
    const late = new Deferred<void>();
    const dial = async (options: { signal: AbortSignal }): Promise<ConnLike> => {
      const conn = await all.dial(options);
      const isFirst = all.servers.length === 1;
      return new Proxy(connOfAnotherClass(conn), {
        get(target, name) {
          if (name !== 'writeMessage') return Reflect.get(target, name) as unknown;
          return async (type: 1, data: string) => {
            await conn.writeMessage(type, data);
            if (isFirst) await late.promise;
            else await new Promise((resolve) => void setTimeout(resolve, 5));
          };
        },
      });
    };
    const client = new ReconnectingConn(dial, { ...fast, report: () => {} });
    onTestFinished(() => void client.close());
    const sent = ['a', 'b', 'c', 'd'].map((each) => client.send(each));
    const first = await all.server(0);
    expect(await text(first)).toBe('a');
    first.terminate();
    const second = await all.server(1);
    expect(await text(second)).toBe('b');
    late.resolve();
    await sent[0];
    sent.push(client.send('e'));
    const rest = [await text(second), await text(second), await text(second)];
    expect(rest).toEqual(['c', 'd', 'e']);
    await Promise.all(sent);
  });

  it('sends what waited before the answer to a message that was read ahead', async () => {
    const all = dials();
    const client = live(all, {
      onOpen: async () => {
        await (await all.server(0)).send('greeting');
        for (let i = 0; i < 20; i++) await new Promise((resolve) => void setImmediate(resolve));
      },
    });
    void client.receive(() => void client.send('reply'));
    void client.send('one');
    void client.send('two');
    const server = await all.server(0);
    const texts = [await text(server), await text(server), await text(server)];
    expect(texts).toEqual(['one', 'two', 'reply']);
  });

  it('ends with a close code that cannot be sent', async () => {
    const all = dials();
    const client = live(all, { report: () => {} });
    await next(client, 'open');
    const server = await all.server(0);
    void server.discardReads();
    expect(await client.close(1005)).toEqual({ unsent: [] });
    expect((await server.closed).code).toBe(1000);
  });

  it('keeps messages while there is no connection, and sends none twice', async () => {
    const all = dials();
    const client = live(all);
    await next(client, 'open');
    const first = await all.server(0);
    await client.send('accepted');
    const closed = next(client, 'close');
    first.terminate();
    expect((await closed).code).toBe(1006);
    expect(client.conn).toBeUndefined();
    const waiting = client.send('kept');
    const second = await all.server(1);
    expect(await text(second)).toBe('kept');
    await waiting;
  });

  it.each([
    [{ maxQueuedMessages: 2 }, 'maxQueuedMessages'],
    [{ maxQueuedBytes: 7 }, 'maxQueuedBytes (7)'],
  ])('rejects over %j', async (bound, words) => {
    const all = dials();
    const client = live({ ...all, dial: () => new Promise(() => {}) }, bound);
    const sends = [client.send('abc'), client.send('def'), client.send('ghi')];
    const error = await sends[2]!.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BackpressureError);
    expect(String(error)).toContain(words);
    const { unsent } = await client.close();
    expect(unsent.map((message) => message.text())).toEqual(['abc', 'def']);
    for (const send of sends.slice(0, 2)) await expect(send).rejects.toBeInstanceOf(CloseSentError);
  });

  // A Set whose first entry is removed each time takes more than 60 s.
  it('returns 100,000 unsent messages', { timeout: 60_000 }, async () => {
    const bounds = { maxQueuedBytes: false, maxQueuedMessages: false } as const;
    const client = live({ ...dials(), dial: () => new Promise(() => {}) }, bounds);
    const texts = Array.from({ length: 100_000 }, (_, i) => String(i));
    for (const text of texts) void client.send(text);
    const { unsent } = await client.close();
    expect(unsent.map((message) => message.text()).join()).toBe(texts.join());
  });

  it('rejects other data with a TypeError, and keeps the messages', async () => {
    const client = live({ ...dials(), dial: () => new Promise(() => {}) }, { report: () => {} });
    const kept = client.send('kept');
    await expect(client.send({} as never)).rejects.toThrow('writeJSON sends objects');
    const { unsent } = await client.close();
    expect(unsent).toHaveLength(1);
    await expect(kept).rejects.toBeInstanceOf(CloseSentError);
  });
});

describe('a message that waits while the connection is full', () => {
  /** A ReconnectingConn whose connection accepts at most 64 KiB until `transport` drains. */
  function full(onOpen?: (conn: Conn) => unknown): {
    client: ReconnectingConn;
    transport: TestTransport;
  } {
    const transport = new TestTransport();
    const settings = { closeTimeout: 50, heartbeat: false, maxBufferedAmount: 65_536 } as const;
    const dial = async (): Promise<Conn> => {
      const conn = new Conn(transport, { role: 'client', ...settings });
      transport.block();
      return conn;
    };
    const client = live(
      { ...dials(), dial },
      {
        async onOpen(conn) {
          await onOpen?.(conn);
          void conn.send(new Uint8Array(65_536));
          await expect(conn.send('x')).rejects.toBeInstanceOf(BackpressureError);
        },
      },
    );
    return { client, transport };
  }

  /** Whether `promise` is still pending after some turns of the event loop. */
  async function isPending(promise: Promise<unknown>): Promise<boolean> {
    let settled = false;
    const settle = (): void => void (settled = true);
    promise.then(settle, settle);
    for (let i = 0; i < 10; i++) await new Promise((resolve) => void setImmediate(resolve));
    return !settled;
  }

  it('is sent when the transport has drained', async () => {
    const { client, transport } = full();
    const waiting = [client.send('one'), client.send('two')];
    await next(client, 'open');
    waiting.push(client.send('three'));
    expect(await isPending(Promise.any(waiting))).toBe(true);
    transport.drain();
    await Promise.all(waiting);
    expect(client.conn?.stats.messagesOut).toBe(4);
  });

  it('is sent when the open MessageWriter has closed', async () => {
    const all = dials();
    let writer: MessageWriter | undefined;
    const client = live(all, {
      async onOpen(conn) {
        writer = await conn.nextWriter(1);
        for (let i = 0; i < 15; i++) void conn.send(new Uint8Array(1024 * 1024));
        await expect(conn.send(new Uint8Array(1024 * 1024))).rejects.toThrow(BackpressureError);
      },
    });
    const waiting = client.send(new Uint8Array(1024 * 1024));
    await next(client, 'open');
    expect(await isPending(waiting)).toBe(true);
    await writer!.write('stream');
    await writer!.close();
    const server = await all.server(0);
    expect(await text(server)).toBe('stream');
    for (let i = 0; i < 15; i++) await server.readMessage();
    expect((await server.readMessage()).data).toHaveLength(1024 * 1024);
    await waiting;
  });

  it('waits for the next connection when this one ends', async () => {
    const { client, transport } = full();
    const waiting = client.send('one').catch((error: unknown) => error);
    await next(client, 'open');
    const closed = next(client, 'close');
    transport.break();
    await closed;
    const { unsent } = await client.close();
    expect(unsent.map((message) => message.text())).toEqual(['one']);
    expect(await waiting).toBeInstanceOf(CloseSentError);
  });
});

describe('ReconnectingConn.state', () => {
  it('is not open while the connection closes', async () => {
    const all = dials();
    const client = live(all, { minDelay: 1_000_000, maxDelay: 2_000_000 });
    const conn = await next(client, 'open');
    expect([client.state, client.conn]).toEqual(['open', conn]);
    const server = await all.server(0);
    server.setCloseHandler(() => new Promise(() => {}));
    const atClose: unknown[] = [];
    client.on('close', () => void atClose.push(client.state));
    const closed = conn.close();
    expect(conn.state).toBe('closing');
    expect([client.state, client.conn]).toEqual(['waiting', undefined]);
    await closed;
    expect(atClose).toEqual(['waiting']);
    expect(client.state).toBe('waiting');
  });

  it('is closed after close, when the connection is no longer open', async () => {
    const all = dials();
    const client = live(all);
    await next(client, 'open');
    (await all.server(0)).setCloseHandler(() => new Promise(() => {}));
    const closed = client.close();
    await new Promise((resolve) => void setImmediate(resolve));
    expect([client.state, client.conn]).toEqual(['closed', undefined]);
    await closed;
  });
});

describe('ReconnectingConn.onOpen', () => {
  it('runs for each connection before queued messages are sent', async () => {
    const all = dials();
    const client = live(all, {
      async onOpen(conn) {
        await conn.send('login');
        expect(await text(conn)).toBe('welcome');
        await conn.send('subscribe');
      },
    });
    const queued = client.send('queued');
    void client.receive(() => {}).catch(() => {});
    for (const i of [0, 1]) {
      const server = await all.server(i);
      expect(await text(server)).toBe('login');
      expect(client.state).toBe('connecting');
      expect(client.conn).toBeUndefined();
      await server.send('welcome');
      expect(await text(server)).toBe('subscribe');
      if (i === 0) expect(await text(server)).toBe('queued');
      else await client.close();
      server.terminate();
    }
    await queued;
  });

  it('counts as a failed dial when it fails: 1011, retry, then the next dial', async () => {
    const all = dials();
    const seen: unknown[] = [];
    let calls = 0;
    const client = live(all, {
      onOpen: () => {
        if (++calls === 1) throw new Error('login refused');
      },
      retry: (error) => void seen.push(error),
    });
    await expect((await all.server(0)).readMessage()).rejects.toMatchObject({ closeCode: 1011 });
    const conn = await next(client, 'open');
    expect(seen).toMatchObject([{ message: 'login refused' }]);
    expect(client.conn).toBe(conn);
  });

  it('counts as a failed dial when the connection ends before it has finished', async () => {
    const all = dials();
    let calls = 0;
    const client = live(all, { onOpen: () => (++calls === 1 ? new Promise(() => {}) : undefined) });
    (await all.server(0)).terminate();
    await next(client, 'open');
    expect(calls).toBe(2);
  });

  it('is followed by no dial when the peer ends the connection with a stop code', async () => {
    const all = dials();
    const seen: unknown[] = [];
    const client = live(all, {
      onOpen: (conn) => conn.readMessage(),
      retry: (error) => void seen.push(error),
    });
    await (await all.server(0)).close(1008, 'bad token');
    expect(await client.closed).toEqual({ unsent: [] });
    expect(all.servers).toHaveLength(1);
    expect(seen).toEqual([]);
  });

  it('has its error reported once, and a later one of another class', async () => {
    const all = dials();
    const report = vi.fn();
    let calls = 0;
    const client = live(all, {
      report,
      async onOpen() {
        if (++calls < 4) throw new Error('mine');
        if (calls === 4) throw new RangeError('another');
      },
    });
    await next(client, 'open');
    expect(report.mock.calls).toEqual([
      [new Error('mine'), { where: 'onOpen' }],
      [new RangeError('another'), { where: 'onOpen' }],
    ]);
  });

  it('is not reported for the end that this client causes', async () => {
    const all = dials();
    const report = vi.fn();
    const client = live(all, { report, onOpen: (conn) => conn.readMessage() });
    await all.server(0);
    await client.close();
    await new Promise((resolve) => void setTimeout(resolve, 100));
    expect(report).not.toHaveBeenCalled();
  });

  it('is reported once when it waits for a message of this object', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const all = dials();
    const report = vi.fn();
    const client: ReconnectingConn = live(all, {
      report,
      onOpen: () => client.send('login'),
    });
    await all.server(0);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(report.mock.calls).toEqual([[expect.any(Error), { where: 'onOpen' }]]);
    expect(String(report.mock.calls[0]![0])).toContain('write to the conn that onOpen gets');
    expect(client.state).toBe('connecting');
  });

  it('may take long while no message is sent', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const all = dials();
    const report = vi.fn();
    const login = new Deferred<void>();
    const client = live(all, { report, onOpen: () => login.promise });
    const sent = client.send('early');
    await all.server(0);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(report).not.toHaveBeenCalled();
    login.resolve();
    await sent;
  });
});

describe('ReconnectingConn.writeJSON', () => {
  it('sends JSON text, also of what waits', async () => {
    const all = dials();
    const client = live(all);
    const waits = client.writeJSON({ a: 1 });
    const server = await all.server(0);
    expect(await text(server)).toBe('{"a":1}');
    await waits;
    await client.writeJSON([null]);
    await client.writeJSON('x');
    expect([await text(server), await text(server)]).toEqual(['[null]', '"x"']);
  });

  it('gives the text to resend.id', async () => {
    const all = dials();
    const client = live(all, {
      resend: {
        id: (data) => (JSON.parse(data as string) as { id: string }).id,
        acknowledged: (message) => (message.json() as { ack: string }).ack,
        hide: true,
      },
    });
    const sent = client.writeJSON({ id: '7' });
    const server = await all.server(0);
    expect(await text(server)).toBe('{"id":"7"}');
    await server.writeJSON({ ack: '7' });
    await sent;
  });

  const cycle: unknown[] = [];
  cycle.push(cycle);
  const throwsNoText = (): never => {
    throw Object.create(null);
  };
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  it.each<[string, unknown, string]>([
    ['undefined', undefined, 'undefined cannot be written as JSON'],
    ['a function', () => {}, 'function cannot be written as JSON'],
    ['a symbol', Symbol('x'), 'symbol cannot be written as JSON'],
    ['a cycle', cycle, 'value cannot be written as JSON: '],
    ['a BigInt', 1n, 'value cannot be written as JSON: '],
    ['a throw without text', { toJSON: throwsNoText }, 'value cannot be written as JSON: '],
    ['a revoked proxy', revoked.proxy, 'value cannot be written as JSON: '],
  ])('rejects with a TypeError, reports it and sends nothing: %s', async (_, value, words) => {
    const all = dials();
    const report = vi.fn();
    const client = live(all, { report });
    const error = (await client.writeJSON(value).catch((reason: unknown) => reason)) as Error;
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(words);
    expect(report.mock.calls).toEqual([[error, { where: 'writeJSON' }]]);
    expect((await client.close()).unsent).toEqual([]);
  });

  it('rejects after the end as send does', async () => {
    const client = live(dials());
    await client.close();
    await expect(client.writeJSON({})).rejects.toBeInstanceOf(CloseSentError);
  });
});

describe('reading from a ReconnectingConn', () => {
  it('receives the messages of all connections', async () => {
    const all = dials();
    const client = live(all);
    const seen: string[] = [];
    const receiving = client.receive((message) => void seen.push(message.text()));
    for (const i of [0, 1]) {
      const server = await all.server(i);
      await server.send(`message ${i}`);
      await server.close(i === 0 ? 1001 : 1008);
    }
    await receiving;
    expect(seen).toEqual(['message 0', 'message 1']);
    expect(await client.closed).toEqual({ unsent: [] });
  });

  it('iterates over the messages of all connections', async () => {
    const all = dials();
    const client = live(all);
    const serving = (async () => {
      for (const i of [0, 1]) {
        const server = await all.server(i);
        await server.send(`message ${i}`);
        await server.close(i === 0 ? 4000 : 1008);
      }
    })();
    const seen: string[] = [];
    for await (const message of client) seen.push(message.text());
    await serving;
    expect(seen).toEqual(['message 0', 'message 1']);
  });

  it('continues an iterator in a loop, and ends it with the loop', async () => {
    const all = dials();
    const client = live(all);
    const server = await all.server(0);
    for (const each of ['first', 'second']) await server.send(each);
    const iterator = client[Symbol.asyncIterator]();
    expect((await iterator.next()).value?.text()).toBe('first');
    for await (const message of iterator) {
      expect(message.text()).toBe('second');
      break;
    }
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(client.state).toBe('open');
  });

  it('ends with the error of a handler', async () => {
    const all = dials();
    const client = live(all);
    const failure = new Error('mine');
    const receiving = client.receive(() => {
      throw failure;
    });
    const server = await all.server(0);
    await server.send('x');
    await expect(receiving).rejects.toBe(failure);
    expect(await client.closed).toEqual({ error: failure, unsent: [] });
    expect(await server.closed).toMatchObject({ code: 1011 });
  });

  it('rejects a second receive, and one without a function', async () => {
    const client = live(dials());
    void client.receive(() => {});
    await expect(client.receive(() => {})).rejects.toBeInstanceOf(ReadPendingError);
    await expect(client.receive(5 as never)).rejects.toThrow('receive: expected a function');
  });

  it('delivers the messages of each connection before those of the next one', async () => {
    const all = dials();
    const client = live(all);
    const serving = (async () => {
      await (await all.server(0)).send('a');
      const second = await all.server(1);
      await second.send('b');
      await second.close(4000);
      await (await all.server(2)).send('c');
    })();
    const seen: string[] = [];
    for await (const message of client) {
      seen.push(message.text());
      if (seen.length === 3) break;
      if (seen.length === 1) {
        // The connection ends while this body runs, and the dial of the second one is due.
        const ended = next(client, 'close');
        all.servers[0]!.terminate();
        await ended;
        await new Promise((resolve) => void setTimeout(resolve, 20));
      }
    }
    await serving;
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  it('ends a pending next when the iterator returns: the message is for the next reader', async () => {
    const all = dials();
    const client = live(all);
    const iterator = client[Symbol.asyncIterator]();
    const first = iterator.next();
    const server = await all.server(0);
    await server.send('first');
    expect((await first).value!.text()).toBe('first');
    const pending = iterator.next();
    expect(await iterator.return!()).toEqual({ done: true, value: undefined });
    expect(await pending).toEqual({ done: true, value: undefined });
    await server.send('second');
    for await (const message of client) {
      expect(message.text()).toBe('second');
      break;
    }
    expect(client.state).toBe('open');
  });

  it('ends a pending next that waits for a connection when the iterator returns', async () => {
    const client = live(dials(...Array.from({ length: 99 }, () => new Error('refused'))));
    const iterator = client[Symbol.asyncIterator]();
    const pending = iterator.next();
    await iterator.return!();
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('causes no unhandled rejection when the error of next is ignored', async () => {
    const client = live(dials(new Error('refused')), { retry: () => false });
    void client[Symbol.asyncIterator]().next();
    await client.closed;
    await new Promise((resolve) => void setImmediate(resolve));
  });

  it('rejects receive while the iteration waits for a message', async () => {
    const client = live(dials());
    await next(client, 'open');
    const iterator = client[Symbol.asyncIterator]();
    void iterator.next();
    await expect(client.receive(() => {})).rejects.toBeInstanceOf(ReadPendingError);
    await client.close();
  });

  it('ends when the handler fails with the end of another connection', async () => {
    const all = dials();
    const client = live(all);
    const [other, peer] = connPair();
    const receiving = client.receive(() => other.send('x'));
    peer.terminate();
    await other.closed;
    await (await all.server(0)).send('x');
    await expect(receiving).rejects.toBeInstanceOf(WebSocketError);
    expect(all.signals).toHaveLength(1);
  });

  it('throws out of the loop with the error that ended it', async () => {
    const failure = new Error('refused');
    const client = live(dials(failure), { retry: () => false });
    const loop = (async () => {
      for await (const _ of client) expect.unreachable();
    })();
    await expect(loop).rejects.toBe(failure);
    expect(await client.closed).toEqual({ error: failure, unsent: [] });
  });

  it('has an Error for a thrown value that is none, with the value as its cause', async () => {
    const thrown: unknown = 'refused';
    const client = live(dials(thrown), { retry: () => false });
    const { error } = await client.closed;
    expect(error?.message).toContain('refused');
    expect(error?.cause).toBe(thrown);
  });
});

describe('a reader of a ReconnectingConn that is busy when the connection breaks', () => {
  it('may wait for its send in a handler', async () => {
    const all = dials();
    const client = live(all);
    const broken = next(client, 'close');
    const started = new Deferred<void>();
    void client.receive(async (message) => {
      started.resolve();
      await broken;
      await client.send(`re ${message.text()}`);
    });
    const first = await all.server(0);
    await first.send('one');
    await first.send('two');
    await started.promise;
    first.terminate();
    const second = await all.server(1);
    expect([await text(second), await text(second)]).toEqual(['re one', 're two']);
  });

  it('may wait for its send in a loop', async () => {
    const all = dials();
    const client = live(all);
    const broken = next(client, 'close');
    const started = new Deferred<void>();
    const looping = (async () => {
      for await (const message of client) {
        started.resolve();
        await broken;
        await client.send(`re ${message.text()}`);
      }
    })();
    const first = await all.server(0);
    await first.send('one');
    await started.promise;
    first.terminate();
    const second = await all.server(1);
    expect(await text(second)).toBe('re one');
    await client.close();
    await looping;
  });

  it('reads what came over several connections in order', async () => {
    const all = dials();
    const client = live(all);
    const third = new Deferred<void>();
    const seen: string[] = [];
    const receiving = client.receive(async (message) => {
      seen.push(message.text());
      await third.promise;
    });
    for (const i of [0, 1, 2]) {
      const server = await all.server(i);
      await server.send(`message ${i}`);
      if (i === 2) third.resolve();
      const closed = next(client, 'close');
      await server.close(i === 2 ? 1008 : 4000);
      await closed;
      // The reader has not begun with the second connection: only a message to send lets it dial.
      if (i === 1) void client.send('now').catch(() => {});
    }
    await receiving;
    expect(seen).toEqual(['message 0', 'message 1', 'message 2']);
  });

  it('holds back the dials when it has not begun to read the last connection', async () => {
    const all = dials();
    const client = live(all);
    const iterator = client[Symbol.asyncIterator]();
    const reading = iterator.next();
    const first = await all.server(0);
    await first.send('one');
    await reading;
    first.terminate();
    (await all.server(1)).terminate();
    await next(client, 'close');
    expect(client.state).toBe('waiting');
    await new Promise((resolve) => void setTimeout(resolve, 4 * fast.maxDelay));
    expect(all.signals).toHaveLength(2);
    void iterator.return?.(undefined);
    void client.receive(() => {}).catch(() => {});
    await all.server(2);
  });

  it('holds back the dials when it is 64 connections behind, although a message waits', async () => {
    const all = dials();
    const client = live(all);
    const handled = new Deferred<void>();
    const seen: string[] = [];
    void client.receive((message) => {
      seen.push(message.text());
      return handled.promise;
    });
    for (let i = 0; i <= 64; i++) {
      const server = await all.server(i);
      await server.send(String(i));
      const closed = next(client, 'close');
      await server.close(4000);
      await closed;
      void client.send('waits').catch(() => {});
    }
    await new Promise((resolve) => void setTimeout(resolve, 4 * fast.maxDelay));
    expect(all.signals).toHaveLength(65);
    expect(client.state).toBe('waiting');
    handled.resolve();
    expect(await text(await all.server(65))).toBe('waits');
    expect(seen).toEqual(Array.from({ length: 65 }, (_, i) => String(i)));
  });

  it('ends the next connection too when the handler fails', async () => {
    const all = dials();
    const client = live(all);
    const failure = new Error('mine');
    const started = new Deferred<void>();
    const second = new Deferred<void>();
    const receiving = client.receive(async () => {
      started.resolve();
      await second.promise;
      throw failure;
    });
    const first = await all.server(0);
    await first.send('x');
    await started.promise;
    const reopened = next(client, 'open');
    first.terminate();
    await reopened;
    const server = await all.server(1);
    second.resolve();
    await expect(receiving).rejects.toBe(failure);
    expect(await client.closed).toEqual({ error: failure, unsent: [] });
    expect(await server.closed).toMatchObject({ code: 1011 });
  });
});

describe('ReconnectingConn.close', () => {
  it('sends what waits, then closes an open connection', async () => {
    const all = dials();
    const client = live(all);
    const queued = client.send('queued');
    const conn = await next(client, 'open');
    expect(conn.state).toBe('open');
    const ended = client.close(4000, 'bye');
    const server = await all.server(0);
    expect(await text(server)).toBe('queued');
    await expect(server.readMessage()).rejects.toMatchObject({ closeCode: 4000, reason: 'bye' });
    expect(await ended).toEqual({ unsent: [] });
    await queued;
    expect(all.signals).toHaveLength(1);
    await expect(client.send('late')).rejects.toBeInstanceOf(CloseSentError);
  });

  it('is called by await using', async () => {
    const all = dials();
    let read: Promise<string> | undefined;
    {
      await using client = live(all);
      await next(client, 'open');
      void client.send('queued');
      read = text(await all.server(0));
    }
    expect(await read).toBe('queued');
    const server = await all.server(0);
    await expect(server.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    expect(all.signals).toHaveLength(1);
  });

  it('sends what waits for at most closeTimeout', async () => {
    const blocked = new TestTransport();
    const client = live({
      ...dials(),
      dial: async () => {
        const conn = new Conn(blocked, { role: 'client', closeTimeout: 50, heartbeat: false });
        blocked.block();
        return conn;
      },
    });
    const queued = [1, 2, 3, 4].map(() => client.send(new Uint8Array(100_000)).catch(() => {}));
    await next(client, 'open');
    const { unsent } = await client.close();
    expect(unsent.length).toBeGreaterThan(0);
    await Promise.all(queued);
  });

  it('ends a wait at once', async () => {
    const all = dials(new Error('refused'));
    const client = live(all, { minDelay: 1_000_000, maxDelay: 2_000_000 });
    while (client.state !== 'waiting') await new Promise((resolve) => void setImmediate(resolve));
    expect(await client.close()).toEqual({ unsent: [] });
    expect(client.state).toBe('closed');
  });

  it('may be awaited in the body of the loop over the messages', async () => {
    const all = dials();
    const client = live(all);
    const server = await all.server(0);
    void server.discardReads();
    void server.send('bye');
    for await (const message of client) {
      expect(message.text()).toBe('bye');
      expect(await client.close()).toEqual({ unsent: [] });
    }
    expect(client.state).toBe('closed');
  });

  it('resolves receive after the handler has finished with the last message', async () => {
    // The close of a busy machine takes longer than its timeout.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const all = dials();
    const client = live(all);
    await next(client, 'open');
    const server = await all.server(0);
    let handled = 0;
    const receiving = client.receive(async () => {
      await new Promise((resolve) => void setImmediate(resolve));
      handled++;
    });
    for (let i = 0; i < 20; i++) await server.send('x');
    await Promise.all([server.close(), client.close()]);
    expect(handled).toBeLessThan(20);
    await receiving;
    expect(handled).toBe(20);
  });

  it('rejects receive with an error of the handler after close', async () => {
    const all = dials();
    const client = live(all, { report: () => {} });
    await next(client, 'open');
    const server = await all.server(0);
    const error = new Error('the last message');
    const receiving = client.receive(async (message) => {
      const last = message.text() === '19';
      await new Promise((resolve) => void setImmediate(resolve));
      if (last) throw error;
    });
    for (let i = 0; i < 20; i++) await server.send(String(i));
    await Promise.all([server.close(), client.close()]);
    await expect(receiving).rejects.toBe(error);
  });

  it('may be awaited in the handler of receive', async () => {
    const all = dials();
    const client = live(all);
    const server = await all.server(0);
    void server.discardReads();
    void server.send('bye');
    await client.receive(async () => void (await client.close()));
    expect(await client.closed).toEqual({ unsent: [] });
  });

  it.each(['receive', 'a loop'])('drops unread messages of all connections: %s', async (reader) => {
    const all = dials();
    const client = live(all);
    const texts: string[] = [];
    const closed = new Deferred<void>();
    const work = async (message: { text(): string }): Promise<void> => {
      texts.push(message.text());
      await closed.promise;
    };
    const reading =
      reader === 'receive'
        ? client.receive(work)
        : (async () => {
            for await (const message of client) await work(message);
          })();
    await next(client, 'open');
    const first = await all.server(0);
    for (const text of ['0', '1', '2']) await first.send(text);
    await first.close(4000);
    const second = all.server(1);
    // A message lets the next dial follow, also while a reader is behind.
    void client.send('dial').catch(() => {});
    void (await second).discardReads();
    await (await second).send('3');
    const ended = client.close();
    void client.close(1000, '', { discard: true });
    closed.resolve();
    await ended;
    await reading;
    expect(texts).toEqual(['0']);
  });

  it('delivers unread messages of all connections by default', async () => {
    const all = dials();
    const client = live(all);
    await next(client, 'open');
    const server = await all.server(0);
    for (const text of ['0', '1', '2']) await server.send(text);
    void server.discardReads();
    const texts: string[] = [];
    const reading = client.receive((message) => void texts.push(message.text()));
    await client.close();
    await reading;
    expect(texts).toEqual(['0', '1', '2']);
  });

  it('has no effect the second time, and with a bad code', async () => {
    const all = dials();
    const client = live(all);
    await next(client, 'open');
    void (await all.server(0)).discardReads();
    await expect(client.close(1006)).rejects.toBeInstanceOf(RangeError);
    await expect(client.close(null as never)).rejects.toBeInstanceOf(TypeError);
    for (const options of [{ discard: 1 }, { timeout: 1 }, null]) {
      await expect(client.close(1000, '', options as never)).rejects.toBeInstanceOf(TypeError);
    }
    expect(client.state).toBe('open');
    const [one, two] = [client.close(), client.close(4000)];
    expect(await one).toBe(await two);
  });
});

describe('ReconnectingConn.on', () => {
  it('reports the errors of listeners, and calls the others', async () => {
    const reported: unknown[] = [];
    const all = dials();
    const client = live(all, { report: (error, { where }) => void reported.push([error, where]) });
    const failure = new Error('mine');
    client.on('open', () => {
      throw failure;
    });
    client.on('open', () => Promise.reject(failure));
    await next(client, 'open');
    await new Promise((resolve) => void setImmediate(resolve));
    expect(reported).toEqual([
      [failure, 'on open'],
      [failure, 'on open'],
    ]);
  });

  it.each([
    ['message', () => {}, "expected 'open' or 'close', got message"],
    ['open', 5, 'expected a function, got number'],
  ])('throws for %s and %s', (event, listener, message) => {
    const client = live(dials());
    expect(() => client.on(event as never, listener as never)).toThrow(message);
  });
});

describe('ReconnectingConn.report', () => {
  /** Records what `report` gets. */
  function recorder() {
    const seen: { error: unknown; where: string }[] = [];
    return {
      seen,
      report: (error: unknown, { where }: { where: string }) => void seen.push({ error, where }),
    };
  }

  it('gets the first failed dial, and no later one', async () => {
    const { seen, report } = recorder();
    const first = new Error('refused');
    const client = live(dials(first, new Error('again'), new Error('and again')), { report });
    await next(client, 'open');
    expect(seen).toEqual([{ error: first, where: 'dial' }]);
  });

  it('gets a first failure that comes after a connection', async () => {
    const { seen, report } = recorder();
    const all = dials(undefined, new Error('restarts'), new Error('restarts'));
    const client = live(all, { report });
    void client.receive(() => {}).catch(() => {});
    await next(client, 'open');
    const reopened = next(client, 'open');
    (await all.server(0)).terminate();
    await reopened;
    expect(seen.map(({ where }) => where)).toEqual(['dial']);
  });

  const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  const refused = (): Dials => dials(new Error('401'));

  it('gets no error that ends the object and that a caller of send awaits', async () => {
    const { seen, report } = recorder();
    const client = live(refused(), { report, retry: () => false });
    await expect(client.send('x')).rejects.toThrow('401');
    await nextTurn();
    expect(seen).toEqual([]);
  });

  it('gets no error that ends the object and that ends a loop', async () => {
    const { seen, report } = recorder();
    const client = live(refused(), { report, retry: () => false });
    await expect(client[Symbol.asyncIterator]().next()).rejects.toThrow('401');
    await nextTurn();
    expect(seen).toEqual([]);
  });

  it('gets the error that ends the object when no code awaits it', async () => {
    const { seen, report } = recorder();
    const client = live(refused(), { report, retry: () => false });
    void client.send('x');
    void client.receive(() => {});
    await client.closed;
    await nextTurn();
    expect(seen.map(({ where }) => where)).toEqual(['dial']);
  });

  it('gets no dial that `close` has ended', async () => {
    const { seen, report } = recorder();
    const dial = ({ signal }: { signal: AbortSignal }): Promise<Conn> =>
      new Promise(
        (_, reject) => void signal.addEventListener('abort', () => reject(signal.reason)),
      );
    const client = new ReconnectingConn(dial, { report });
    await Promise.resolve();
    await client.close();
    expect(seen).toEqual([]);
  });

  it('is a warning by default', async () => {
    const warned = new Promise<string>((resolve) => {
      const { error } = console;
      console.error = (text: string) => {
        // A test of another file may have left a connection that fails now.
        if (!text.includes('nothing listens there')) return error(text);
        console.error = error;
        resolve(text);
      };
    });
    const client = live(dials(new Error('nothing listens there')));
    const text = await warned;
    expect(text).toContain('Error: nothing listens there');
    expect(text).toContain('In dial; later dials that fail are not reported, see retry.');
    await client.close();
  });
});

describe('a second reader of a ReconnectingConn', () => {
  const loop = async (client: ReconnectingConn): Promise<void> => {
    for await (const _ of client);
  };
  const receive = (client: ReconnectingConn): Promise<void> => client.receive(() => {});

  it.each<[string, typeof loop, typeof loop]>([
    ['for await while for await is pending', loop, loop],
    ['for await while receive is pending', receive, loop],
    ['receive while for await is pending', loop, receive],
    ['receive while receive is pending', receive, receive],
  ])('gets a clear error, and the first continues: %s', async (words, first, second) => {
    const made = dials();
    const client = new ReconnectingConn(made.dial, fast);
    const reading = first(client);
    await made.server(0);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(second(client)).rejects.toThrow(`${words}; read in one place at a time`);
    expect(client.state).toBe('open');
    await client.close();
    await reading;
  });
});
