import { type Conn, connPair } from '@ws/conn';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ReconnectingConn, type ReconnectingConnOptions } from '../src/index.ts';
import { dials, fast } from './dials.ts';

const turns = async (count = 20): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => void setImmediate(resolve));
};

function live(
  all: ReturnType<typeof dials>,
  options: ReconnectingConnOptions = {},
): ReconnectingConn {
  const client = new ReconnectingConn(all.dial, { ...fast, report: () => {}, ...options });
  onTestFinished(() => void client.close());
  return client;
}

const closed = (client: ReconnectingConn): Promise<unknown> =>
  new Promise((resolve) => {
    const remove = client.on('close', (info) => {
      remove();
      resolve(info);
    });
  });

async function take(client: ReconnectingConn, count: number): Promise<string[]> {
  const got: string[] = [];
  for await (const message of client) {
    got.push(message.text());
    if (got.length === count) break;
  }
  return got;
}

/** Longer than any wait before a dial. */
const longerThanWaits = (): Promise<void> =>
  new Promise((resolve) => void setTimeout(resolve, 4 * fast.maxDelay));

describe('C3 a ReconnectingConn without a reader', () => {
  it.each(['a close', 'a reset'])(
    'keeps the unread messages of a connection that ended by %s, for the next loop',
    async (end) => {
      const all = dials();
      const client = live(all);
      const first = take(client, 1);
      const server = await all.server(0);
      for (let i = 0; i < 6; i++) await server.send(String(i));
      expect(await first).toEqual(['0']);
      const ended = closed(client);
      await turns();
      if (end === 'a close') void server.close(1001);
      else server.terminate();
      await ended;
      await longerThanWaits();
      expect(all.signals).toHaveLength(1);
      const rest = take(client, 6);
      await (await all.server(1)).send('of the next');
      expect(await rest).toEqual(['1', '2', '3', '4', '5', 'of the next']);
    },
  );

  it('gives receive what a loop has left, and later connections', async () => {
    const all = dials();
    const client = live(all);
    const first = take(client, 1);
    const server = await all.server(0);
    for (const text of ['a', 'b', 'c']) await server.send(text);
    await first;
    await turns();
    const ended = closed(client);
    server.terminate();
    await ended;
    const got: string[] = [];
    void client.receive((message) => void got.push(message.text())).catch(() => {});
    const next: Conn = await all.server(1);
    await next.send('d');
    await turns();
    expect(got).toEqual(['b', 'c', 'd']);
  });

  it('does not dial again for listeners of events', async () => {
    const all = dials();
    const client = live(all);
    client.on('open', () => {});
    const server = await all.server(0);
    const ended = closed(client);
    server.terminate();
    await ended;
    await longerThanWaits();
    expect(all.signals).toHaveLength(1);
    expect(client.state).toBe('waiting');
    void client.receive(() => {}).catch(() => {});
    await all.server(1);
  });

  it('dials when a message waits, each time', async () => {
    const all = dials();
    const client = live(all);
    for (let i = 0; i < 5; i++) {
      const server = await all.server(i);
      const ended = closed(client);
      server.terminate();
      await ended;
      await longerThanWaits();
      expect(all.signals).toHaveLength(i + 1);
      const sent = client.send(String(i));
      const next = await all.server(i + 1);
      expect((await next.readMessage()).text()).toBe(String(i));
      await sent;
    }
  });

  it('does not dial again after a loop was left', async () => {
    const all = dials();
    const client = live(all);
    const first = take(client, 1);
    const server = await all.server(0);
    await server.send('one');
    await first;
    const ended = closed(client);
    server.terminate();
    await ended;
    await longerThanWaits();
    expect(all.signals).toHaveLength(1);
    void take(client, 1).catch(() => {});
    await all.server(1);
  });

  it('does not dial for a message while readAhead bytes wait for a reader', async () => {
    const servers: Conn[] = [];
    const dial = async (): Promise<Conn> => {
      const [client, server] = connPair({ heartbeat: false, readAhead: 10_000 });
      servers.push(server);
      for (let i = 0; i < 4; i++) void server.send('x'.repeat(1_000)).catch(() => {});
      setImmediate(() => setImmediate(() => server.terminate()));
      return client;
    };
    const client = new ReconnectingConn(dial, { ...fast, report: () => {} });
    onTestFinished(() => void client.close());
    const sends = 10;
    for (let i = 0; i < sends; i++) {
      void client.send('waits').catch(() => {});
      await longerThanWaits();
    }
    // Each connection keeps about 5,000 bytes.
    const before = servers.length;
    expect(before).toBeGreaterThan(1);
    expect(before).toBeLessThan(5);
    let got = 0;
    void client.receive(() => void got++).catch(() => {});
    while (servers.length === before) await turns();
    expect(got).toBeGreaterThanOrEqual(4 * before);
  });

  it('C14 rejects no promise for a late connection whose close fails', async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', onUnhandled);
    onTestFinished(() => void process.off('unhandledRejection', onUnhandled));
    const [client] = [dials()];
    let open!: (conn: Conn) => void;
    const late = new Promise<Conn>((resolve) => (open = resolve));
    const conn = new ReconnectingConn(() => late);
    void conn.close();
    const inner = await client.dial({ signal: new AbortController().signal });
    inner.close = () => Promise.reject(new Error('close failed'));
    open(inner);
    await turns();
    expect(unhandled).toEqual([]);
  });
});
