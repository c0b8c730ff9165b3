import { EventEmitter, once } from 'node:events';
import { turn } from '@ws/tests';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  admit,
  type CloseOptions,
  type Conn,
  type ServeOptions,
  Upgrader,
} from '../../src/index.ts';
import {
  connectRaw,
  exchange,
  masked,
  type RawPeer,
  request,
  serving,
  TestServer,
} from '../raw.ts';
import { connected, endAfterEach, listening } from '../upgrade-server.ts';

endAfterEach();

/** Answers a close frame, and keeps its bytes. */
function polite(client: RawPeer): RawPeer {
  client.stream.on('data', () => {
    const answered = client.stream.writableEnded;
    if (!answered && client.received.includes(0x88)) client.stream.end(masked(8, '\u0003\u00e8'));
  });
  return client;
}

/** A running Upgrader or server, and its clients. */
interface Running {
  readonly closing: Pick<Upgrader, 'close' | 'connections'> & AsyncDisposable;
  readonly open: () => Promise<RawPeer>;
  readonly port: number;
}

type Handler = (conn: Conn) => unknown;

async function ofUpgrader(options: ServeOptions, handler: Handler): Promise<Running> {
  const closing = new Upgrader(options);
  const server = await listening(closing.handler(handler) as () => void);
  onTestFinished(async () => void (await closing.close()));
  return { closing, port: server.port, open: () => opened(server.port) };
}

async function ofServe(options: ServeOptions, handler: Handler): Promise<Running> {
  const closing = await serving(options, handler);
  return { closing, port: closing.port, open: () => opened(closing.port) };
}

async function opened(port: number): Promise<RawPeer> {
  const client = await connectRaw(port);
  onTestFinished(() => void client.stream.destroy());
  await client.upgrade();
  client.takeReceived();
  return client;
}

const read: Handler = (conn) => conn.discardReads();

describe.each([
  ['Upgrader', ofUpgrader],
  ['serve', ofServe],
])('close of %s', (_, run) => {
  it('sends 1001 to each connection, and counts them', async () => {
    const { closing, open } = await run({}, read);
    const clients = [polite(await open()), polite(await open())];
    expect(closing.connections.size).toBe(2);
    expect(await closing.close()).toEqual({ closed: 2, terminated: 0, handlersPending: 0 });
    for (const client of clients) {
      expect(client.received.toString('hex')).toBe('880203e9');
    }
    expect(closing.connections.size).toBe(0);
  });

  it('sends the code and reason of its argument, and of the option `close` without it', async () => {
    for (const [option, argument, frame] of [
      [{ code: 4000, reason: 'a' }, {}, '88030fa061'],
      [{ code: 4000, reason: 'a' }, { code: 1012 }, '880303f461'],
    ] as const) {
      const { closing, open } = await run({ close: option }, read);
      const client = polite(await open());
      await closing.close(argument);
      expect(client.received.toString('hex')).toBe(frame);
    }
  });

  it('terminates after the timeout, and counts the handlers that still run', async () => {
    const { closing, open } = await run({ closeTimeout: 20 }, (conn) => {
      void conn.discardReads();
      return new Promise(() => {});
    });
    polite(await open());
    await open();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const closed = closing.close({ timeout: 60 });
    while (closing.connections.size > 1) await turn();
    vi.advanceTimersByTime(60);
    expect(await closed).toEqual({
      closed: 1,
      terminated: 1,
      handlersPending: 2,
    });
  });

  it('counts a client as closed that has answered before a busy event loop reads it', async () => {
    const { closing, open } = await run({}, read);
    const client = await open();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const closed = closing.close({ timeout: 500 });
    await client.until(() => client.received.includes(0x88));
    client.stream.end(masked(8, '\u0003\u00e8'));
    vi.advanceTimersByTime(500);
    expect(await closed).toEqual({ closed: 1, terminated: 0, handlersPending: 0 });
  });

  it('returns the same promise for a second call', async () => {
    const { closing } = await run({}, read);
    const first = closing.close();
    expect(closing.close({ timeout: 1, code: 1012 })).toBe(first);
    expect(await first).toEqual({ closed: 0, terminated: 0, handlersPending: 0 });
  });

  it.each<[CloseOptions, string]>([
    [{ timeout: 0 }, 'close.timeout'],
    [{ code: 1005 }, 'close.code'],
    [{ reason: 'x'.repeat(124) }, 'close.reason'],
    [{ over: -1 }, 'close.over'],
    [{ timeOut: 5 } as CloseOptions, 'timeOut'],
    [null as never, 'close'],
  ])('rejects %o, and does not close', async (options, name) => {
    const { closing, open } = await run({}, read);
    const client = await open();
    await expect(closing.close(options)).rejects.toThrow(name);
    client.stream.write(masked(9, 'hi'));
    await client.until(() => client.received.length >= 4);
    expect(client.received[0]).toBe(0x8a);
    polite(client);
  });

  it('spreads the close frames over `over` ms, and starts the timeout after the last one', async () => {
    const { closing, open } = await run({}, read);
    const at: number[] = [];
    let begin = 0;
    for (let i = 0; i < 3; i++) {
      const client = await open();
      client.stream.once('data', () => at.push(performance.now() - begin));
    }
    begin = performance.now();
    const result = await closing.close({ over: 80, timeout: 40 });
    expect(result).toMatchObject({ closed: 0, terminated: 3 });
    expect(performance.now() - begin).toBeGreaterThan(110);
    // A busy client reads late, never early.
    expect(at[1]!).toBeGreaterThan(30);
    expect(at[2]!).toBeGreaterThan(70);
  });

  it('ends during `over` when every connection has gone', async () => {
    const { closing, open } = await run({}, read);
    const clients = [await open(), await open(), await open()];
    const result = closing.close({ over: 600_000 });
    for (const client of clients) client.stream.destroy();
    expect(await result).toMatchObject({ closed: 3, terminated: 0 });
  });

  it('is the disposal', async () => {
    const { closing, open } = await run({}, read);
    const client = polite(await open());
    await closing[Symbol.asyncDispose]();
    expect(client.received.toString('hex')).toBe('880203e9');
  });
});

describe('close of an Upgrader', () => {
  it('refuses later requests with 503, and calls no function of the application', async () => {
    let calls = 0;
    const count = (): boolean => ++calls > 0;
    const { closing, port } = await ofUpgrader(
      { authenticate: count as () => never, checkOrigin: count },
      read,
    );
    await closing.close();
    expect(await exchange(port, request())).toMatchObject({
      status: 503,
      body: 'the server is closing\n',
    });
    expect(calls).toBe(0);
  });

  it('closes the connection of a handshake that was pending, without its handler', async () => {
    const asked = new EventEmitter();
    let handled = 0;
    const upgrader = new Upgrader({
      authenticate: () => new Promise<true>((resolve) => asked.emit('asked', () => resolve(true))),
    });
    const server = await listening(upgrader.handler(() => void handled++) as () => void);
    const client = polite(await connected(server));
    const asks = once(asked, 'asked') as Promise<[() => void]>;
    client.stream.write(request());
    const [admit] = await asks;
    const closing = upgrader.close();
    admit();
    expect(await closing).toEqual({ closed: 1, terminated: 0, handlersPending: 0 });
    expect(client.received.subarray(-4).toString('hex')).toBe('880203e9');
    expect(handled).toBe(0);
  });

  it('does not wait for clients that come during it', async () => {
    const handled = new EventEmitter();
    const upgrader = new Upgrader();
    const handler: Handler = async () => {
      await once(handled, 'done');
    };
    const server = await listening(upgrader.handler(handler) as () => void);
    const client = polite(await connected(server));
    client.stream.write(request());
    await client.until(() => client.received.includes('101'));
    const closing = upgrader.close({ timeout: 60_000 });
    const late = await connected(server);
    late.stream.write(request());
    await late.until(() => late.received.includes('503'));
    handled.emit('done');
    // The refused client has not ended its half.
    expect(await closing).toEqual({ closed: 1, terminated: 0, handlersPending: 0 });
    expect(late.stream.closed).toBe(false);
    late.stream.destroy();
  });

  it('closes connections of upgrade', async () => {
    const upgrader = new Upgrader({ authenticate: () => admit({ user: 'ada' }) });
    const server = await listening(upgrader);
    polite(await connected(server)).stream.write(request());
    const conn = (await server.outcome()) as Conn;
    expect(conn.data).toEqual({ user: 'ada' });
    expect([...upgrader.connections]).toEqual([conn]);
    expect(await upgrader.close()).toEqual({ closed: 1, terminated: 0, handlersPending: 0 });
  });

  it('does not wait for a plain request that was passed to upgrade', async () => {
    const upgrader = new Upgrader({ report: () => {} });
    const server = await new TestServer(upgrader, (req, res) => {
      void upgrader.upgrade(req, req.socket, Buffer.alloc(0)).catch(() => {});
      res.end('page');
    }).listen();
    onTestFinished(() => server.close());
    const client = await connectRaw(server.port);
    client.stream.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(() => client.received.includes('page'));
    expect(await upgrader.close({ timeout: 60_000 })).toMatchObject({ closed: 0 });
    client.stream.destroy();
  });
});
