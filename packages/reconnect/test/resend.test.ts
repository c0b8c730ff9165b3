import {
  BackpressureError,
  CloseError,
  type CloseInfo,
  CloseSentError,
  Conn,
  type ConnPairOptions,
  connPair,
  type MessageData,
  portablePlatform,
  ReadPendingError,
} from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { nodeDeflate } from '@ws/node-io';
import { TestTransport } from '@ws/tests';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  ReconnectingConn,
  type ReconnectingConnOptions,
  type ResendOptions,
} from '../src/index.ts';
import { connOfAnotherClass, type Dials, dials, fast } from './dials.ts';

/** `7:text` has the id 7; `ack 7,8` acknowledges 7 and 8. */
const RESEND: ResendOptions = {
  id: (data) => (typeof data === 'string' ? /^(\w+):/.exec(data)?.[1] : undefined),
  acknowledged: (message) => /^ack (.*)$/.exec(message.text())?.[1]!.split(','),
};

afterEach(() => void vi.useRealTimers());

function live(
  all: Pick<Dials, 'dial'>,
  resend: Partial<ResendOptions> = {},
  options: ReconnectingConnOptions = {},
): ReconnectingConn {
  const result = new ReconnectingConn(all.dial, {
    ...fast,
    report: () => {},
    resend: { ...RESEND, ...resend },
    ...options,
  });
  onTestFinished(() => void result.close());
  return result;
}

const turns = async (count = 10): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => void setImmediate(resolve));
};

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = (): void => void (settled = true);
  promise.then(settle, settle);
  await turns();
  return !settled;
}

async function texts(server: Conn, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) found.push((await server.readMessage()).text());
  return found;
}

const closed = (client: ReconnectingConn): Promise<unknown> =>
  new Promise((resolve) => {
    const remove = client.on('close', (info) => {
      remove();
      resolve(info);
    });
  });

/** Acknowledges each message with an id, and returns the messages. */
function acknowledges(server: Conn): string[] {
  const got: string[] = [];
  void server.receive(async (message) => {
    const text = message.text();
    got.push(text);
    const id = /^(\w+):/.exec(text)?.[1];
    if (id !== undefined) await server.send(`ack ${id}`);
  });
  return got;
}

describe('the option resend', () => {
  it('resolves send when the peer has acknowledged the message', async () => {
    const all = dials();
    const client = live(all);
    void client.receive(() => {});
    const sent = client.send('1:a');
    const server = await all.server(0);
    expect(await texts(server, 1)).toEqual(['1:a']);
    expect(await isPending(sent)).toBe(true);
    await server.send('ack 0');
    expect(await isPending(sent)).toBe(true);
    await server.send('ack 1');
    await sent;
  });

  it('resolves send of a message without an id when a connection has accepted it', async () => {
    const all = dials();
    const client = live(all);
    await client.send('no id');
    await client.send(Uint8Array.of(1));
    expect((await all.server(0)).state).toBe('open');
  });

  it('takes several acknowledgements in one message', async () => {
    const all = dials();
    const client = live(all);
    void client.receive(() => {});
    const sent = ['1:a', '2:b', '3:c'].map((text) => client.send(text));
    const server = await all.server(0);
    await texts(server, 3);
    await server.send('ack 3,1');
    await Promise.all([sent[0], sent[2]]);
    expect(await isPending(sent[1]!)).toBe(true);
  });

  it('sends again what was not acknowledged: first, in order, after onOpen', async () => {
    const all = dials();
    const client = live(all, {}, { onOpen: (conn) => conn.send('login') });
    void client.receive(() => {});
    const sent = ['1:a', '2:b', '3:c'].map((text) => client.send(text));
    const first = await all.server(0);
    expect(await texts(first, 4)).toEqual(['login', '1:a', '2:b', '3:c']);
    await first.send('ack 2');
    await sent[1];
    const broken = closed(client);
    first.terminate();
    await broken;
    const later = [client.send('no id'), client.send('4:d')];
    const second = await all.server(1);
    expect(await texts(second, 5)).toEqual(['login', '1:a', '3:c', 'no id', '4:d']);
    const brokenAgain = closed(client);
    second.terminate();
    await brokenAgain;
    const third = await all.server(2);
    expect(await texts(third, 4)).toEqual(['login', '1:a', '3:c', '4:d']);
    await third.send('ack 1,3,4');
    await Promise.all([...sent, ...later]);
  });

  it('keeps a copy of the bytes', async () => {
    const all = dials();
    const client = live(all, { id: (data) => (typeof data === 'string' ? undefined : 'bytes') });
    const bytes = Uint8Array.of(1);
    void client.send(bytes).catch(() => {});
    bytes[0] = 9;
    for (const i of [0, 1]) {
      const server = await all.server(i);
      expect((await server.readMessage()).data).toEqual(Uint8Array.of(1));
      server.terminate();
    }
  });

  it('sends in the order of the calls while it sends again', async () => {
    const all = dials();
    const client = live(all);
    const sent = Array.from({ length: 20 }, (_, i) => client.send(`${i}:x`));
    client.on('open', () => {
      for (let i = 20; i < 40; i++) sent.push(client.send(`${i}:x`));
    });
    const server = await all.server(0);
    const got = acknowledges(server);
    await turns(20);
    sent.push(client.send('40:x'));
    await Promise.all(sent);
    expect(got).toEqual(Array.from({ length: 41 }, (_, i) => `${i}:x`));
  });

  it('delivers acknowledgements to the reader, unless hide is true', async () => {
    for (const hide of [false, true]) {
      const all = dials();
      const client = live(all, { hide });
      const seen: string[] = [];
      void client.receive((message) => void seen.push(message.text()));
      const server = await all.server(0);
      await server.send('news');
      const sent = client.send('1:a');
      await texts(server, 1);
      await server.send('ack 1');
      await sent;
      await server.send('more news');
      while (!seen.includes('more news')) await turns(1);
      expect(seen).toEqual(hide ? ['news', 'more news'] : ['news', 'ack 1', 'more news']);
    }
  });

  it.each(['receive', 'a loop'])('lets a reader wait for its send: %s', async (reader) => {
    const all = dials();
    const client = live(all);
    const seen: string[] = [];
    const work = async (text: string): Promise<void> => {
      seen.push(text);
      if (text.startsWith('ask')) await client.send(`${text.slice(3)}:answer`);
    };
    const reading =
      reader === 'receive'
        ? client.receive((message) => work(message.text()))
        : (async () => {
            for await (const message of client) await work(message.text());
          })();
    const server = await all.server(0);
    for (const n of [1, 2]) await server.send(`ask${n}`);
    const got = acknowledges(server);
    while (seen.length < 4) await turns(1);
    expect(seen).toEqual(['ask1', 'ask2', 'ack 1', 'ack 2']);
    expect(got).toEqual(['1:answer', '2:answer']);
    await client.close();
    await reading;
  });

  it('lets a reader wait for its send over a connection that breaks', async () => {
    const all = dials();
    const client = live(all);
    const answered = new Deferred<void>();
    void client.receive(async (message) => {
      if (message.text() !== 'ask') return;
      await client.send('1:answer');
      answered.resolve();
    });
    const first = await all.server(0);
    await first.send('ask');
    await texts(first, 1);
    first.terminate();
    expect(acknowledges(await all.server(1))).toEqual([]);
    await answered.promise;
  });

  it('needs no reader when acknowledgements are hidden', async () => {
    const all = dials();
    const client = live(all, { hide: true, maxMessages: 10 });
    const got = acknowledges(await all.server(0));
    for (let i = 0; i < 100; i++) await client.send(`${i}:x`);
    expect(got).toHaveLength(100);
  });

  it('reads at most its bounds ahead of the reader', async () => {
    const all = dials();
    let taken = 0;
    const client = live(all, { maxMessages: 3, acknowledged: () => void taken++ });
    const server = await all.server(0);
    for (let i = 0; i < 10; i++) await server.send(String(i));
    await turns();
    expect(taken).toBe(3);
    const seen: string[] = [];
    for await (const message of client) if (seen.push(message.text()) === 10) break;
    expect(seen).toEqual(Array.from({ length: 10 }, (_, i) => String(i)));
  });

  it('delivers what was read ahead of a connection that has ended', async () => {
    const all = dials();
    const client = live(all);
    const iterator = client[Symbol.asyncIterator]();
    const first = iterator.next();
    const server = await all.server(0);
    for (const text of ['a', 'b', 'c']) await server.send(text);
    expect((await first).value!.text()).toBe('a');
    const ended = closed(client);
    server.terminate();
    await ended;
    expect((await iterator.next()).value!.text()).toBe('b');
    expect((await iterator.next()).value!.text()).toBe('c');
    const fourth = iterator.next();
    await (await all.server(1)).send('d');
    expect((await fourth).value!.text()).toBe('d');
  });

  it.each<[Partial<ResendOptions>, string]>([
    [{ maxMessages: 2 }, 'as many as resend.maxMessages allows'],
    [
      { maxBytes: 8 },
      '8 bytes wait for an acknowledgement; 4 more would exceed resend.maxBytes (8)',
    ],
  ])('rejects send over %j, with and without a connection', async (bounds, words) => {
    const all = dials();
    for (const dial of [all.dial, () => new Promise<Conn>(() => {})]) {
      const client = live({ dial }, bounds);
      if (dial === all.dial) await all.server(0);
      const sent = ['1:aa', '2:bb'].map((text) => client.send(text));
      const refused = client.send('3:cc');
      const error = await refused.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(BackpressureError);
      expect(String(error)).toContain(words);
      expect(client.stats.messagesRefused).toBe(1);
      const { unsent } = await client.close();
      expect(unsent.map((message) => message.text())).toEqual(['1:aa', '2:bb']);
      for (const each of sent) await expect(each).rejects.toBeInstanceOf(CloseSentError);
    }
  });

  it('has room again after an acknowledgement', async () => {
    const all = dials();
    const client = live(all, { maxMessages: 1, maxBytes: 4, hide: true });
    acknowledges(await all.server(0));
    for (let i = 0; i < 5; i++) await client.send(`${i}:ab`);
    expect(client.stats.messagesRefused).toBe(0);
  });

  it('is not bounded by maxQueuedMessages, nor by maxBufferedAmount', async () => {
    const transport = new TestTransport();
    const dial = async (): Promise<Conn> => {
      const conn = new Conn(transport, {
        role: 'client',
        closeTimeout: 50,
        heartbeat: false,
        maxBufferedAmount: 1_000,
      });
      transport.block();
      return conn;
    };
    const client = live({ dial }, { maxBytes: 10_000 }, { maxQueuedMessages: 1 });
    const opened = new Promise((resolve) => client.on('open', resolve));
    const early = client.send(`0:${'x'.repeat(1_000)}`);
    await opened;
    const sent = [1, 2, 3].map((i) => client.send(`${i}:${'x'.repeat(1_000)}`));
    await turns();
    const { unsent } = await client.close();
    expect(unsent).toHaveLength(4);
    await Promise.allSettled([early, ...sent]);
    expect(client.stats.messagesRefused).toBe(0);
  });

  it('lists messages without an acknowledgement in unsent, then those that wait', async () => {
    const all = dials();
    const client = live(all);
    const sends = [client.send('1:a')];
    const server = await all.server(0);
    await texts(server, 1);
    const broken = closed(client);
    server.terminate();
    await broken;
    sends.push(client.send('no id'), client.send('2:b'));
    const { unsent } = await client.close();
    expect(unsent.map((message) => message.text())).toEqual(['1:a', '2:b', 'no id']);
    for (const send of sends) await expect(send).rejects.toBeInstanceOf(CloseSentError);
  });

  it('takes acknowledgements that come during close', async () => {
    const all = dials();
    const client = live(all);
    acknowledges(await all.server(0));
    await turns();
    const sent = client.send('1:a');
    expect((await client.close()).unsent).toEqual([]);
    await sent;
  });

  it('works over a connection of a class of the application', async () => {
    const all = dials();
    const dial = (options: { signal: AbortSignal }) => all.dial(options).then(connOfAnotherClass);
    const client = new ReconnectingConn(dial, { ...fast, report: () => {}, resend: RESEND });
    onTestFinished(() => void client.close());
    const sent = client.send('1:a');
    (await all.server(0)).terminate();
    const got = acknowledges(await all.server(1));
    await sent;
    expect(got).toEqual(['1:a']);
  });

  it.each<[string, ConnPairOptions]>([
    [
      'compression',
      {
        platform: { ...portablePlatform, deflate: nodeDeflate },
        compression: { mode: 'takeover', threshold: 0 },
      },
    ],
    ['backpressure', { highWaterMark: 500, maxBufferedAmount: 2_000 }],
  ])('loses and doubles nothing with %s, while connections break', async (_, options) => {
    const got = new Map<string, number>();
    const servers: Conn[] = [];
    const dial = async (): Promise<Conn> => {
      const [conn, server] = connPair({ ...options, closeTimeout: 50, heartbeat: false });
      servers.push(server);
      void server
        .receive((message) => {
          const [id = ''] = message.text().split(':');
          got.set(id, (got.get(id) ?? 0) + 1);
          return server.send(`ack ${id}`);
        })
        .catch(() => {});
      return conn;
    };
    const client = live({ dial }, { hide: true, maxMessages: 50 });
    const sent: Promise<void>[] = [];
    for (let i = 0; i < 300; i++) {
      sent.push(client.send(`${i}:${'again and again, '.repeat(10)}`));
      if (sent.length % 50 === 0) await Promise.all(sent);
      if (i % 40 === 20) {
        servers.at(-1)?.terminate();
        await turns(2);
      }
      if (i % 90 === 80) await client.reconnect();
    }
    await Promise.all(sent);
    expect(got.size).toBe(300);
    expect(servers.length).toBeGreaterThan(5);
    expect((await client.close()).unsent).toEqual([]);
  });

  it('takes acknowledgements of 20,000 messages in linear time', { timeout: 60_000 }, async () => {
    const all = dials();
    const client = live(all, { hide: true, maxBytes: false, maxMessages: false });
    const server = await all.server(0);
    acknowledges(server);
    const sent = Array.from({ length: 20_000 }, (_, i) => client.send(`${i}:x`));
    await Promise.all(sent);
  });
});

describe('a second reader with the option resend', () => {
  it('gets a clear error, and the first continues', async () => {
    const all = dials();
    const client = live(all);
    const iterator = client[Symbol.asyncIterator]();
    const first = iterator.next();
    const server = await all.server(0);
    await turns();
    await expect(client[Symbol.asyncIterator]().next()).rejects.toThrow(
      'for await while for await is pending; read in one place at a time',
    );
    await expect(client.receive(() => {})).rejects.toBeInstanceOf(ReadPendingError);
    await server.send('x');
    expect((await first).value!.text()).toBe('x');
  });

  it('gets the message that a reader has left', async () => {
    const all = dials();
    const client = live(all);
    const iterator = client[Symbol.asyncIterator]();
    const pending = iterator.next();
    const server = await all.server(0);
    await turns();
    await iterator.return!();
    expect(await pending).toEqual({ done: true, value: undefined });
    await server.send('x');
    for await (const message of client) {
      expect(message.text()).toBe('x');
      break;
    }
  });
});

describe('a handler that waits for its send', () => {
  const MiB = 1024 * 1024;

  /** A client whose handler awaits `send`, after which the server sends `before` the acknowledgement. */
  async function asked(
    resend: Partial<ResendOptions>,
    before: (server: Conn) => Promise<unknown>,
  ): Promise<{ client: ReconnectingConn; all: Dials; answered: Promise<void>; seen: number[] }> {
    const all = dials();
    // The code of a BackpressureError of this end, after which the next dial follows in any case.
    const client = live(all, resend, { stopCodes: [1013] });
    const seen: number[] = [];
    const answered = new Deferred<void>();
    void client.receive(async (message) => {
      seen.push(message.length);
      if (message.text() === 'ask') answered.resolve(client.send('1:answer'));
      await answered.promise;
    });
    const server = await all.server(0);
    await server.send('ask');
    await texts(server, 1);
    void before(server).then(
      () => server.send('ack 1'),
      () => {},
    );
    return { client, all, answered: answered.promise, seen };
  }

  it.each<[string, Partial<ResendOptions>, (server: Conn) => Promise<void>]>([
    ['1 MiB', {}, (server) => server.send(new Uint8Array(MiB))],
    [
      'a message of many times maxBytes',
      { maxBytes: 1_000 },
      (server) => server.send(new Uint8Array(MiB)),
    ],
    [
      '5 MiB',
      {},
      async (server) => {
        for (let i = 0; i < 5; i++) await server.send(new Uint8Array(MiB));
      },
    ],
    [
      '1,000 messages',
      {},
      async (server) => {
        for (let i = 0; i < 1_000; i++) await server.send(`news ${i}`);
      },
    ],
    [
      'as many messages as maxMessages',
      { maxMessages: 10 },
      async (server) => {
        for (let i = 0; i < 10; i++) await server.send(`news ${i}`);
      },
    ],
    [
      '1 MiB, acknowledgements are hidden',
      { hide: true },
      (server) => server.send(new Uint8Array(MiB)),
    ],
  ])('gets the acknowledgement behind %s', async (_, resend, before) => {
    const { client, all, answered, seen } = await asked(resend, before);
    await answered;
    void all.servers[0]!.send('later');
    while (seen.at(-1) !== 5) await turns(1);
    expect(client.state).toBe('open');
    expect(all.signals).toHaveLength(1);
  });

  it('gets it after a second message, whose send began above the bound', async () => {
    const all = dials();
    const client = live(all, { maxMessages: 3 });
    const go = new Deferred<void>();
    const handled: string[] = [];
    void client.receive(async (message) => {
      await go.promise;
      if (message.text() === 'ask') await client.send('1:answer');
      handled.push(message.text());
    });
    const server = await all.server(0);
    for (const text of ['ask', 'a', 'b', 'c', 'd']) await server.send(text);
    acknowledges(server);
    await turns();
    go.resolve();
    while (handled.length < 6) await turns(1);
    expect(handled).toEqual(['ask', 'a', 'b', 'c', 'd', 'ack 1']);
  });

  it('gets it over the next connection when far more comes before', async () => {
    const ends: unknown[] = [];
    const { client, all, answered } = await asked({ maxMessages: 2 }, async (server) => {
      for (;;) await server.send('news');
    });
    client.on('close', ({ error }) => void ends.push(error));
    acknowledges(await all.server(1));
    await answered;
    expect(ends).toEqual([expect.any(BackpressureError)]);
    expect(String(ends[0])).toContain('messages of');
  });

  it('is held back by a reader that is slow, but reads', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const all = dials();
    const client = live(all, { maxMessages: 2 });
    let handled = 0;
    void client.receive(async () => {
      await new Promise((resolve) => void setTimeout(resolve, 900));
      handled++;
    });
    const server = await all.server(0);
    const sent = client.send('1:a');
    for (let i = 0; i < 100; i++) void server.send('news');
    void server.send('ack 1');
    while (handled < 70) {
      await turns(2);
      await vi.advanceTimersByTimeAsync(100);
    }
    await sent;
    expect(all.signals).toHaveLength(1);
  });
});

describe('a ReconnectingConn that no code reads', () => {
  it('sends on, and reports once what waits for a reader', async () => {
    const all = dials();
    const report = vi.fn();
    const client = live(all, { maxMessages: 10 }, { report });
    acknowledges(await all.server(0));
    for (let i = 0; i < 100; i++) await client.send(`${i}:x`);
    expect(report.mock.calls).toEqual([[expect.any(Error), { where: 'receive' }]]);
    expect(String(report.mock.calls[0]![0])).toContain('call receive, or set resend.hide');
  });
});

describe('a message that the peer refuses', () => {
  /** A client whose peer refuses each message with the letter p, and acknowledges the others. */
  function refused(code: number, options: ReconnectingConnOptions = {}): ReconnectingConn {
    const all = dials();
    const dial = async (dialOptions: { signal: AbortSignal }): Promise<Conn> => {
      const conn = await all.dial(dialOptions);
      const server = all.servers.at(-1)!;
      void server
        .receive(async (message) => {
          const text = message.text();
          if (text.includes('p')) await server.close(code, 'refused');
          else await server.send(`ack ${text.split(':')[0]}`);
        })
        .catch(() => {});
      return conn;
    };
    return live({ dial }, { hide: true }, options);
  }

  it.each([1007, 1009])(
    'is rejected, reported and unsent after three ends with %i',
    async (code) => {
      const report = vi.fn();
      const client = refused(code, { report });
      const sent = ['1:a', '2:b', '3:p', '4:d', '5:e'].map((text) => client.send(text));
      const error = await sent[2]!.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(CloseError);
      expect(error).toMatchObject({ closeCode: code, reason: 'refused' });
      expect(String(error)).toContain('at the message with the id "3"; it is not sent again');
      await Promise.all([...sent.slice(0, 2), ...sent.slice(3)]);
      expect(report.mock.calls).toEqual([[error, { where: 'send' }]]);
      const { unsent } = await client.close();
      expect(unsent.map((message) => message.text())).toEqual(['3:p']);
    },
  );

  it('is rejected when the peer takes no more of its bytes after the close frame', async () => {
    const dial = async (): Promise<Conn> => {
      const transport = new TestTransport();
      const conn = new Conn(transport, { role: 'client', closeTimeout: 50, heartbeat: false });
      transport.block();
      setTimeout(() => {
        transport.feed(Uint8Array.of(0x88, 2, 0x03, 0xf1));
        setTimeout(() => transport.break(new Error('write EPIPE')), 1);
      }, 1);
      return conn;
    };
    const client = live({ dial });
    const ends: CloseInfo[] = [];
    client.on('close', (info) => ends.push(info));
    const error = await client.send(`1:${'x'.repeat(100_000)}`).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CloseError);
    expect(error).toMatchObject({ closeCode: 1009 });
    expect(ends.map(({ code, wasClean }) => [code, wasClean])).toContainEqual([1009, false]);
  });

  it('is distinguished from the messages before and after it', async () => {
    const client = refused(1009);
    const sent = ['1:a', '2:p', '3:p', '4:b'].map((text) => client.send(text));
    const outcomes = await Promise.allSettled(sent);
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'fulfilled',
    ]);
  });

  it.each([1006, 1011, 1001, 1013])('is sent again without end after %i', async (code) => {
    const all = dials();
    const client = live(all);
    const sent = client.send('1:a');
    for (let i = 0; i < 10; i++) {
      const server = await all.server(i);
      expect((await server.readMessage()).text()).toBe('1:a');
      if (code === 1006) server.terminate();
      else await server.close(code);
    }
    acknowledges(await all.server(10));
    await sent;
  });

  it('is not the message of a peer that this end refuses with 1009', async () => {
    const all = dials();
    const dial = async (options: { signal: AbortSignal }): Promise<Conn> => {
      const conn = await all.dial(options);
      conn.setReadLimit(10);
      return conn;
    };
    const client = live({ dial });
    const sent = client.send('1:a');
    for (let i = 0; i < 5; i++) {
      const server = await all.server(i);
      await server.send('x'.repeat(11));
      expect(await server.receive(() => {}).catch((error: unknown) => error)).toMatchObject({
        closeCode: 1009,
      });
    }
    acknowledges(await all.server(5));
    await sent;
  });
});

describe('ReconnectingConn.unacknowledged', () => {
  it('lists the messages without an acknowledgement in a new array, also after the end', async () => {
    const all = dials();
    const client = live(all, { hide: true });
    const list = (): string[] => client.unacknowledged.map((message) => message.text());
    const sent = [client.send('1:a'), client.send('no id'), client.send('2:b')];
    expect(list()).toEqual(['1:a', '2:b']);
    expect(client.unacknowledged).not.toBe(client.unacknowledged);
    const server = await all.server(0);
    await texts(server, 3);
    await server.send('ack 1');
    await sent[0];
    sent.push(client.send('3:c'));
    expect(list()).toEqual(['2:b', '3:c']);
    await client.close();
    expect(list()).toEqual(['2:b', '3:c']);
    await Promise.allSettled(sent);
  });

  it('is empty without the option', () => {
    const client = new ReconnectingConn(dials().dial, fast);
    void client.send('1:a').catch(() => {});
    expect(client.unacknowledged).toEqual([]);
    void client.close();
  });
});

describe('the order of messages that wait', () => {
  it('is that of send, with and without ids, also while the backlog goes out', async () => {
    const all = dials();
    const client = live(all, { hide: true });
    const sent: Promise<void>[] = [];
    const expected: string[] = [];
    const send = (text: string): void => {
      expected.push(text);
      sent.push(client.send(text));
    };
    for (let i = 0; i < 100; i++) send(i % 3 === 0 ? `${i}:id` : `plain ${i}`);
    client.on('open', () => {
      for (let i = 100; i < 200; i++) send(i % 2 === 0 ? `${i}:id` : `plain ${i}`);
    });
    const got = acknowledges(await all.server(0));
    while (client.state !== 'open') await turns(1);
    await turns(3);
    for (let i = 200; i < 300; i++) send(i % 2 === 0 ? `${i}:id` : `plain ${i}`);
    await Promise.all(sent);
    expect(got).toEqual(expected);
  });
});

describe('the window of the backlog', () => {
  it.each([
    ['64 messages', 1, 64],
    ['64 KiB', 8 * 1024 - 10, 8],
    ['one larger message', 100_000, 1],
  ])('is %s without an acknowledgement', async (_, size, count) => {
    const all = dials();
    const client = live(all, { hide: true, maxBytes: false });
    const sent = Array.from({ length: 100 }, (_, i) => client.send(`${i}:${'x'.repeat(size)}`));
    const server = await all.server(0);
    const got: string[] = [];
    void server.receive((message) => void got.push(message.text().split(':')[0]!)).catch(() => {});
    await turns(30);
    expect(got).toHaveLength(count);
    await server.send('ack 0');
    await sent[0];
    await turns(30);
    expect(got).toHaveLength(count + 1);
    while (got.length < 100) {
      await server.send(`ack ${got.join(',')}`);
      await turns(1);
    }
    await server.send(`ack ${got.join(',')}`);
    await Promise.all(sent);
    // Then messages leave as they are sent.
    for (let i = 100; i < 200; i++) sent.push(client.send(`${i}:x`));
    await turns(30);
    expect(got).toHaveLength(200);
    void client.close();
    await Promise.allSettled(sent);
  });

  it('grows while a server acknowledges nothing, and reports that once', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const all = dials();
    const report = vi.fn();
    const client = live(all, { hide: true }, { report });
    const sent = Array.from({ length: 300 }, (_, i) => client.send(`${i}:x`));
    const server = await all.server(0);
    let got = 0;
    // It acknowledges every hundredth message, with those before.
    void server
      .receive(async () => {
        got++;
        if (got !== 100 && got !== 200) return;
        await server.send(`ack ${Array.from({ length: got }, (_, i) => i).join(',')}`);
      })
      .catch(() => {});
    await turns(30);
    expect(got).toBe(64);
    await vi.advanceTimersByTimeAsync(5_000);
    await turns(60);
    expect(got).toBe(300);
    expect(report).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(80_000);
    expect(report.mock.calls).toEqual([[expect.any(Error), { where: 'send' }]]);
    expect(String(report.mock.calls[0]![0])).toContain(
      'no acknowledgement of 100 messages for 30 s',
    );
    void client.close();
    await vi.advanceTimersByTimeAsync(1_000);
    await Promise.allSettled(sent);
  });
});

describe('a wrong function of the option resend', () => {
  const send = (id: (data: MessageData) => unknown): Promise<void> =>
    live({ dial: () => new Promise(() => {}) }, { id: id as ResendOptions['id'] }).send('x');

  it('rejects send: id', async () => {
    await expect(send(() => 7)).rejects.toThrow(
      'resend.id: expected a string or undefined, got number',
    );
    await expect(send(() => Promise.reject(new Error('mine')))).rejects.toThrow('got Promise');
    const mine = new Error('mine');
    const failing = send(() => {
      throw mine;
    });
    await expect(failing).rejects.toBe(mine);
  });

  it.each(['7', undefined])('rejects send after the end that it causes: %s', async (id) => {
    const client: ReconnectingConn = live(
      { dial: () => new Promise(() => {}) },
      {
        id() {
          void client.close();
          return id;
        },
      },
    );
    await expect(client.send('x')).rejects.toBeInstanceOf(CloseSentError);
    expect(await client.closed).toEqual({ unsent: [] });
  });

  it('rejects an id that was acknowledged, also over an earlier connection', async () => {
    const all = dials();
    const client = live(all, { hide: true });
    acknowledges(await all.server(0));
    await client.send('1:tea');
    const broken = closed(client);
    all.servers[0]!.terminate();
    await broken;
    const again = client.send('1:cake');
    await expect(again).rejects.toBeInstanceOf(TypeError);
    await expect(again).rejects.toThrow(
      'resend.id: a message with the id "1" was acknowledged; give each message its own id',
    );
    expect(client.unacknowledged).toEqual([]);
  });

  it('remembers the last 10,000 acknowledged ids', async () => {
    const all = dials();
    const client = live(all, { hide: true, maxMessages: false, maxBytes: false });
    acknowledges(await all.server(0));
    const ids = Array.from({ length: 10_001 }, (_, i) => `${i}:x`);
    await Promise.all(ids.map((text) => client.send(text)));
    await expect(client.send('1:y')).rejects.toBeInstanceOf(TypeError);
    await expect(client.send('10000:y')).rejects.toBeInstanceOf(TypeError);
    await client.send('0:y');
    // Now that one is the newest.
    await client.send('1:y');
    await expect(client.send('0:z')).rejects.toBeInstanceOf(TypeError);
  });

  it('rejects the second message with one id', async () => {
    const client = live(dials());
    void client.send('1:a').catch(() => {});
    await expect(client.send('1:b')).rejects.toThrow(
      'resend.id: a message with the id "1" has no acknowledgement yet; give each message its own id',
    );
  });

  it.each<[string, () => unknown, string]>([
    ['a number', () => 7, 'resend.acknowledged: expected a string, an array of strings'],
    ['null', () => null, 'got null'],
    ['an array with a number', () => ['0', 2], 'got number'],
    ['a promise', () => Promise.reject(new Error('mine')), 'got a promise; it must be synchronous'],
    ['an error', () => JSON.parse('welcome'), 'welcome'],
  ])('is reported once, and acknowledges nothing: %s', async (_, wrong, words) => {
    const all = dials();
    const report = vi.fn();
    const acknowledged: ResendOptions['acknowledged'] = (message) =>
      message.text() === 'wrong' ? (wrong() as undefined) : RESEND.acknowledged(message);
    const client = live(all, { acknowledged }, { report });
    const seen: string[] = [];
    void client.receive((message) => void seen.push(message.text()));
    const server = await all.server(0);
    const sent = client.send('1:a');
    for (const text of ['wrong', 'wrong', 'ack 1']) await server.send(text);
    await sent;
    while (seen.length < 3) await turns(1);
    expect(seen).toEqual(['wrong', 'wrong', 'ack 1']);
    expect([client.state, report.mock.calls.length]).toEqual(['open', 1]);
    const [error, { where }] = report.mock.calls[0] as [Error, { where: string }];
    expect([where, error.message]).toEqual(['resend.acknowledged', expect.stringContaining(words)]);
  });

  it('ends the client with the error of a handler', async () => {
    const all = dials();
    const mine = new Error('mine');
    const client = live(all);
    const reading = client.receive(() => {
      throw mine;
    });
    const server = await all.server(0);
    await server.send('x');
    await expect(reading).rejects.toBe(mine);
    expect(await client.closed).toEqual({ error: mine, unsent: [] });
    expect(await server.closed).toMatchObject({ code: 1011 });
  });

  it('dials again when a handler fails with its connection', async () => {
    const all = dials();
    const client = live(all);
    const seen: string[] = [];
    void client.receive(async (message) => {
      seen.push(message.text());
      if (message.text() === 'break') {
        client.conn!.terminate();
        await client.conn?.send('x');
        throw new BackpressureError('of a connection');
      }
    });
    const first = await all.server(0);
    await first.send('break');
    const second = await all.server(1);
    await second.send('next');
    while (!seen.includes('next')) await turns(1);
    expect(client.state).toBe('open');
  });
});

describe('the option resend throws for', () => {
  it.each<[string, unknown, string]>([
    ['no object', 5, 'resend: expected an object of options, got number'],
    ['an unknown name', { ...RESEND, max: 5 }, 'resend: unknown option max'],
    [
      'no id',
      { acknowledged: RESEND.acknowledged },
      'resend.id: expected a function, got undefined',
    ],
    ['no acknowledged', { id: RESEND.id }, 'resend.acknowledged: expected a function'],
    ['hide of 1', { ...RESEND, hide: 1 }, 'resend.hide: expected true or false, got number'],
    ['maxBytes of 0', { ...RESEND, maxBytes: 0 }, 'resend.maxBytes: 0 is not a bound'],
    [
      'maxMessages of true',
      { ...RESEND, maxMessages: true },
      'resend.maxMessages: expected a number',
    ],
  ])('%s', (_, resend, words) => {
    const dial = (): Promise<Conn> => new Promise(() => {});
    expect(() => new ReconnectingConn(dial, { resend: resend as never })).toThrow(words);
  });
});
