import { CloseSentError, Conn, type ConnPairOptions, connPair, portablePlatform } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { nodeDeflate } from '@ws/node-io';
import { TestTransport } from '@ws/tests';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ReconnectingConn, type ReconnectingConnOptions } from '../src/index.ts';
import { connOfAnotherClass, type Dials, dials } from './dials.ts';

/** Waits that no test survives: only `reconnect` ends them. */
const NEVER = { minDelay: 1_000_000, maxDelay: 2_000_000, report: () => {} };

function live(all: Dials, options: ReconnectingConnOptions = {}): ReconnectingConn {
  const result = new ReconnectingConn(all.dial, { ...NEVER, ...options });
  onTestFinished(() => void result.close());
  return result;
}

/** No timeout expires in the rest of the test, however slow the machine is. */
function stopTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
}

const opened = (client: ReconnectingConn): Promise<Conn> =>
  new Promise((resolve) => {
    const remove = client.on('open', (conn) => {
      remove();
      resolve(conn);
    });
  });

/** Resolves when `client` waits after so many dials. */
async function waits(client: ReconnectingConn, all: Dials, dialed: number): Promise<void> {
  while (client.state !== 'waiting' || all.signals.length < dialed) {
    await new Promise((resolve) => void setImmediate(resolve));
  }
}

describe('ReconnectingConn.reconnect', () => {
  it('ends the wait after a failed dial, and resolves with the new connection', async () => {
    const all = dials(new Error('refused'));
    const client = live(all);
    await waits(client, all, 1);
    const conn = await client.reconnect();
    expect([client.state, client.conn]).toEqual(['open', conn]);
  });

  it('ends the wait after the end of a connection', async () => {
    const all = dials();
    const client = live(all);
    await opened(client);
    (await all.server(0)).terminate();
    await waits(client, all, 1);
    await client.reconnect();
    expect(all.signals).toHaveLength(2);
  });

  it('replaces the open connection', async () => {
    const all = dials();
    const client = live(all, { stopCodes: [1000, 1008] });
    const first = await opened(client);
    const server = await all.server(0);
    void server.discardReads();
    const second = await client.reconnect();
    expect(second).not.toBe(first);
    expect(client.conn).toBe(second);
    expect(await server.closed).toMatchObject({ code: 1000, wasClean: true });
    expect(all.signals).toHaveLength(2);
  });

  it('waits for the end of a connection that closes', async () => {
    const all = dials();
    const client = live(all, { stopCodes: [1000] });
    const first = await opened(client);
    const server = await all.server(0);
    const closing = first.close();
    const second = client.reconnect();
    expect(all.signals).toHaveLength(1);
    void server.discardReads();
    await closing;
    expect(await second).toBe(client.conn);
  });

  it('ends when the peer closes the replaced connection with a stop code', async () => {
    stopTimers();
    const all = dials();
    const client = live(all);
    await opened(client);
    const refused = (await all.server(0)).close(1008, 'banned');
    await expect(client.reconnect()).rejects.toBeInstanceOf(CloseSentError);
    await refused;
    // The dial that began meanwhile is not used.
    expect(all.signals).toHaveLength(2);
    expect((await all.server(1)).state).not.toBe('open');
  });

  it('dials at once, while the peer of the open connection says nothing', async () => {
    const all = dials();
    const silent = new Conn(new TestTransport(), { role: 'client', heartbeat: false });
    let dialed = 0;
    const dial: Dials['dial'] = async (options) => (dialed++ === 0 ? silent : all.dial(options));
    const client = live({ ...all, dial });
    const events: string[] = [];
    client.on('open', () => events.push('open'));
    client.on('close', ({ code }) => events.push(`close ${code}`));
    const first = await opened(client);
    const second = client.reconnect();
    expect([client.conn, client.state]).toEqual([undefined, 'connecting']);
    await all.server(0);
    expect(first.state).toBe('closing');
    expect(await second).toBe(client.conn);
    expect(first.state).toBe('closed');
    expect(events).toEqual(['open', 'close 1006', 'open']);
  });

  it('does not take its own end of the old connection for a stop code', async () => {
    const all = dials();
    const client = live(all, { stopCodes: [1000, 1005, 1006, 1008] });
    await opened(client);
    expect(await client.reconnect()).toBe(client.conn);
  });

  it('may be called in the listener of open', async () => {
    const all = dials();
    const client = live(all);
    client.on('open', () => {
      if (all.signals.length < 3) void client.reconnect();
    });
    for (const i of [0, 1]) void (await all.server(i)).discardReads();
    await all.server(2);
    while (client.state !== 'open') await new Promise((resolve) => void setImmediate(resolve));
    expect(all.signals).toHaveLength(3);
  });

  it('replaces a connection of a class of the application', async () => {
    const all = dials();
    const dial = (options: { signal: AbortSignal }) => all.dial(options).then(connOfAnotherClass);
    const client = new ReconnectingConn(dial, NEVER);
    onTestFinished(() => void client.close());
    void (await all.server(0)).discardReads();
    await client.send('opens');
    const first = client.conn;
    expect(await client.reconnect()).not.toBe(first);
  });

  it('called twice at once dials once', async () => {
    const all = dials();
    const client = live(all);
    await opened(client);
    void (await all.server(0)).discardReads();
    const [one, two] = await Promise.all([client.reconnect(), client.reconnect()]);
    expect(one).toBe(two);
    expect(all.signals).toHaveLength(2);
  });

  it('joins a dial that has begun', async () => {
    const all = dials();
    const dialing = new Deferred<void>();
    const dial = async (options: { signal: AbortSignal }): Promise<Conn> => {
      await dialing.promise;
      return all.dial(options);
    };
    const client = live({ ...all, dial });
    const conn = client.reconnect();
    dialing.resolve();
    expect(await conn).toBe(client.conn);
    expect(all.signals).toHaveLength(1);
  });

  it.each([
    [1_000, 1],
    [2_000, 2],
  ])('gives up a dial that is %i ms old, or joins it: %i dials', async (age, count) => {
    const all = dials();
    const late = new Deferred<Conn>();
    const seen: AbortSignal[] = [];
    const client = live({
      ...all,
      async dial(options) {
        seen.push(options.signal);
        return seen.length === 1 ? late.promise : all.dial(options);
      },
    });
    while (seen.length === 0) await Promise.resolve();
    const now = performance.now();
    vi.spyOn(performance, 'now').mockReturnValue(now + age);
    const conn = client.reconnect();
    vi.restoreAllMocks();
    expect(seen[0]!.aborted).toBe(count === 2);
    const [first, server] = connPair();
    if (count === 2) expect(await conn).toBe(client.conn);
    late.resolve(first);
    if (count === 2) expect(await server.receive(() => {})).toMatchObject({ code: 1000 });
    else expect(await conn).toBe(first);
    expect(seen).toHaveLength(count);
  });

  it('gives up an onOpen that hangs', async () => {
    const all = dials();
    let opens = 0;
    const retry = vi.fn();
    const report = vi.fn();
    const client = live(all, {
      retry,
      report,
      onOpen: (conn) => (opens++ === 0 ? conn.readMessage() : undefined),
    });
    await all.server(0);
    while (opens === 0) await new Promise((resolve) => void setImmediate(resolve));
    const now = performance.now();
    vi.spyOn(performance, 'now').mockReturnValue(now + 5_000);
    const conn = client.reconnect();
    vi.restoreAllMocks();
    expect(await conn).toBe(client.conn);
    expect([retry.mock.calls, report.mock.calls]).toEqual([[], []]);
  });

  it('stays pending over failed dials, and ends their waits when called again', async () => {
    const all = dials(new Error('one'), new Error('two'), new Error('three'));
    const delays: number[] = [];
    const client = live(all, {
      minDelay: 100_000,
      retry: (_, { delay, tries }) => void delays.push(delay, tries),
    });
    await waits(client, all, 1);
    const first = client.reconnect();
    await waits(client, all, 2);
    void client.reconnect();
    await waits(client, all, 3);
    expect(await client.reconnect()).toBe(await first);
    expect(all.signals).toHaveLength(4);
    // The first wait of a series is random from 0 to twice `minDelay`, a later one is at least that.
    expect(delays.map((value, i) => (i % 2 === 0 ? value <= 200_000 : value))).toEqual([
      true,
      1,
      true,
      1,
      true,
      1,
    ]);
  });

  it('sends what waits on the new connection, after onOpen', async () => {
    const all = dials();
    const client = live(all, { onOpen: (conn) => conn.send('login') });
    await opened(client);
    const first = await all.server(0);
    expect((await first.readMessage()).text()).toBe('login');
    const reconnecting = client.reconnect();
    const sent = client.send('waits');
    void first.discardReads();
    const second = await all.server(1);
    expect((await second.readMessage()).text()).toBe('login');
    expect((await second.readMessage()).text()).toBe('waits');
    await Promise.all([reconnecting, sent]);
  });

  it('does not wait for a reader that has not begun with the last connection', async () => {
    const all = dials();
    const client = live(all);
    const iterator = client[Symbol.asyncIterator]();
    const reading = iterator.next();
    const first = await all.server(0);
    await first.send('one');
    await reading;
    void first.discardReads();
    const second = await client.reconnect();
    void (await all.server(1)).discardReads();
    expect(await client.reconnect()).not.toBe(second);
    expect(all.signals).toHaveLength(3);
  });

  it('delivers what came over the replaced connection first', async () => {
    const all = dials();
    const client = live(all);
    const iterator = client[Symbol.asyncIterator]();
    const old = iterator.next();
    const first = await all.server(0);
    for (const text of ['old', 'older']) await first.send(text);
    expect((await old).value!.text()).toBe('old');
    void first.discardReads();
    await client.reconnect();
    await (await all.server(1)).send('new');
    expect((await iterator.next()).value!.text()).toBe('older');
    expect((await iterator.next()).value!.text()).toBe('new');
  });

  it.each<[string, ConnPairOptions]>([
    [
      'compression',
      {
        platform: { ...portablePlatform, deflate: nodeDeflate },
        compression: { mode: 'takeover', threshold: 0 },
      },
    ],
    ['backpressure', { highWaterMark: 1_000, maxBufferedAmount: 65_536 }],
  ])('replaces a connection with %s', async (_, options) => {
    const servers: Conn[] = [];
    const dial = async (): Promise<Conn> => {
      const [conn, server] = connPair({ ...options, closeTimeout: 50, heartbeat: false });
      servers.push(server);
      return conn;
    };
    const client = live({ ...dials(), dial });
    const text = 'again and again, '.repeat(1_000);
    await client.send(text);
    const [first] = servers;
    expect((await first!.readMessage()).text()).toBe(text);
    void first!.discardReads();
    const conn = await client.reconnect();
    await conn.send(text);
    expect((await servers[1]!.readMessage()).text()).toBe(text);
  });

  it('rejects after close, and says so', async () => {
    const client = live(dials());
    const pending = client.reconnect();
    const closed = client.close();
    await expect(pending).rejects.toBeInstanceOf(CloseSentError);
    await closed;
    await expect(client.reconnect()).rejects.toThrow(
      'reconnect: this ReconnectingConn has ended, and dials no more',
    );
  });

  it('rejects with the error that ended the client as the cause', async () => {
    const error = new Error('401');
    const client = live(dials(error), { retry: () => false });
    const pending = client.reconnect();
    await expect(pending).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT', cause: error });
    await expect(client.reconnect()).rejects.toMatchObject({ cause: error });
  });

  it('causes no unhandled rejection when its promise is ignored', async () => {
    const client = live(dials());
    void client.reconnect();
    await client.close();
    void client.reconnect();
    await new Promise((resolve) => void setImmediate(resolve));
  });
});
