// A loop that retries a refused call must not starve timers and I/O: what it waits for comes by them.
import { retryUntilTimer, TestTransport } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import {
  BackpressureError,
  BinaryMessage,
  broadcast,
  Conn,
  type ConnSettings,
  connPair,
  PingMessage,
  PreparedMessage,
  ReadPendingError,
} from '../../src/index.ts';
import { wired } from '../wired.ts';

/** A server whose transport is blocked, and that has no room for another message. */
function full(): Conn {
  const transport = new TestTransport();
  const settings = { maxBufferedAmount: 200_000, heartbeat: false, report: () => {} } as const;
  const conn = new Conn(transport, { role: 'server', ...settings });
  transport.block();
  void conn.send(new Uint8Array(100_000));
  return conn;
}

const writes: [string, (conn: Conn) => Promise<unknown>][] = [
  ['send', (conn) => conn.send(new Uint8Array(200_000))],
  ['writeMessage', (conn) => conn.writeMessage(BinaryMessage, new Uint8Array(200_000))],
  ['writeJSON', (conn) => conn.writeJSON('x'.repeat(200_000))],
  [
    'send with a signal',
    (conn) => conn.send(new Uint8Array(200_000), { signal: new AbortController().signal }),
  ],
  [
    'writePreparedMessage',
    (conn) =>
      conn.writePreparedMessage(new PreparedMessage(BinaryMessage, new Uint8Array(200_000))),
  ],
];

describe('a loop that retries', () => {
  it.each(writes)('%s over maxBufferedAmount lets timers run', async (_, write) => {
    const conn = full();
    expect(await retryUntilTimer(() => write(conn))).toBeInstanceOf(BackpressureError);
    conn.terminate();
  });

  it.each<[string, (conn: Conn) => Promise<unknown>]>([
    ['readMessage', (conn) => conn.readMessage()],
    ['readMessage with a timeout', (conn) => conn.readMessage({ timeout: 1_000 })],
    ['readJSON', (conn) => conn.readJSON()],
    ['nextReader', (conn) => conn.nextReader()],
    ['next of an iterator', (conn) => conn[Symbol.asyncIterator]().next()],
    ['receive', (conn) => conn.receive(() => {})],
    ['discardReads', (conn) => conn.discardReads()],
  ])('%s while receive is pending lets timers run', async (_, read) => {
    const [conn] = connPair();
    void conn.receive(() => {});
    expect(await retryUntilTimer(() => read(conn))).toBeInstanceOf(ReadPendingError);
    conn.terminate();
  });

  it('a read of a MessageReader while another is pending lets timers run', async () => {
    const [conn, peer] = connPair();
    const writer = await peer.nextWriter(BinaryMessage);
    await writer.write(new Uint8Array(5_000));
    const reader = await conn.nextReader();
    void reader.bytes();
    const read = (): Promise<unknown> => reader.read(new Uint8Array(1));
    expect(await retryUntilTimer(read)).toBeInstanceOf(ReadPendingError);
    conn.terminate();
  });

  it.each<[string, (conn: Conn) => Promise<unknown>]>([
    ['ping', (conn) => conn.ping()],
    [
      'ping with a signal',
      (conn) => conn.ping(undefined, { signal: new AbortController().signal }),
    ],
  ])('%s beyond 64 unanswered ones lets timers run', async (_, ping) => {
    const { conn, platform } = wired('server', { report: () => {} });
    for (let i = 0; i < 64; i++) void conn.ping();
    await platform.settle();
    expect(await retryUntilTimer(() => ping(conn))).toBeInstanceOf(BackpressureError);
  });

  it('writeControl beyond 64 pings on a blocked transport lets timers run', async () => {
    const { conn, platform, block } = wired('server', { report: () => {} });
    await platform.settle();
    await block('x');
    for (let i = 0; i < 66; i++) void conn.writeControl(PingMessage);
    const write = (): Promise<unknown> => conn.writeControl(PingMessage);
    expect(await retryUntilTimer(write)).toBeInstanceOf(BackpressureError);
  });

  it.each<[string, (conn: Conn, signal: AbortSignal) => Promise<unknown>]>([
    ['readMessage', (conn, signal) => conn.readMessage({ signal })],
    ['send', (conn, signal) => conn.send('x', { signal })],
    ['ping', (conn, signal) => conn.ping('x', { signal })],
    ['close', (conn, signal) => conn.close(1000, '', { signal })],
  ])('%s with an aborted signal lets timers run', async (_, call) => {
    const [conn] = connPair();
    const signal = AbortSignal.abort('stop');
    expect(await retryUntilTimer(() => call(conn, signal))).toBe('stop');
    conn.terminate();
  });

  it('gets the message through once the peer has read', async () => {
    const [client, server] = connPair({ maxBufferedAmount: 200_000, heartbeat: false });
    setTimeout(() => void client.discardReads(), 5);
    const send = async (): Promise<void> => {
      for (;;) {
        try {
          return await server.send(new Uint8Array(60_000));
        } catch (error) {
          if (!(error instanceof BackpressureError)) throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: 12 }, send));
    expect(server.stats).toMatchObject({ messagesOut: 12 });
    server.terminate();
  });
});

describe('a message that was refused', () => {
  /** A connection that refuses each message, and what it reports. */
  async function refusing(settings: ConnSettings = {}) {
    const report = vi.fn();
    const setup = wired('server', { maxBufferedAmount: 1_000, report, ...settings });
    const { conn, platform, transport } = setup;
    await platform.settle();
    transport.block();
    void conn.send(new Uint8Array(900));
    await platform.settle();
    return { ...setup, report };
  }

  it('is reported once for a connection when no code waits for the promise', async () => {
    const { conn, platform, report } = await refusing();
    for (let i = 0; i < 5; i++) void conn.send(new Uint8Array(200));
    await platform.settle();
    expect(report).toHaveBeenCalledTimes(1);
    const [error, context] = report.mock.calls[0]!;
    expect(error).toBeInstanceOf(BackpressureError);
    expect((error as Error).message).toBe(
      'websocket: the message was not sent: 904 bytes are already buffered and 200 more would exceed maxBufferedAmount (1000); await your writes',
    );
    expect(context).toMatchObject({ conn, where: 'writeMessage' });
    expect(conn.stats.messagesRefused).toBe(5);
  });

  it.each(writes)('by %s is counted, and reported when it is not awaited', async (_, write) => {
    const { conn, platform, report } = await refusing();
    void write(conn);
    await platform.settle();
    expect(conn.stats.messagesRefused).toBe(1);
    expect(report).toHaveBeenCalledTimes(1);
  });

  it.each<[string, (promise: Promise<unknown>) => unknown]>([
    [
      'await',
      async (promise) => {
        try {
          await promise;
        } catch {}
      },
    ],
    ['catch', (promise) => promise.catch(() => {})],
    ['then', (promise) => promise.then(undefined, () => {})],
    ['Promise.all', (promise) => Promise.all([promise, promise]).catch(() => {})],
    ['return of an async function', (promise) => (async () => promise)().catch(() => {})],
  ])('is counted and not reported with %s', async (_, wait) => {
    const { conn, platform, report } = await refusing();
    for (const [, write] of writes) void wait(write(conn));
    await platform.settle();
    expect(conn.stats.messagesRefused).toBe(writes.length);
    expect(report).not.toHaveBeenCalled();
  });

  it('is reported after others whose callers waited', async () => {
    const { conn, platform, report } = await refusing();
    await expect(conn.send(new Uint8Array(200))).rejects.toThrow('was not sent');
    void conn.send(new Uint8Array(300));
    await platform.settle();
    expect(report).toHaveBeenCalledTimes(1);
  });

  it('of a MessageWriter is counted and reported, and aborts the message at once', async () => {
    const { conn, platform, transport, sent, report } = await refusing({ highWaterMark: 100 });
    const writer = await conn.nextWriter(BinaryMessage);
    void writer.write(new Uint8Array(5_000));
    void writer.write(new Uint8Array(5_000));
    const closed = writer.close();
    await expect(closed).rejects.toThrow(BackpressureError);
    expect(conn.stats.messagesRefused).toBe(1);
    transport.drain();
    await platform.settle();
    expect(report).toHaveBeenCalledTimes(1);
    expect(sent().at(-1)).toContain('close 1013');
  });

  it('by broadcast is counted, and the first is reported', async () => {
    const { conn, platform, report } = await refusing();
    expect(broadcast([conn], new Uint8Array(200))).toBe(0);
    expect(broadcast([conn], new Uint8Array(200))).toBe(0);
    expect(report).not.toHaveBeenCalled();
    await platform.settle();
    expect(conn.stats.messagesRefused).toBe(2);
    expect(report).toHaveBeenCalledTimes(1);
    expect(report.mock.calls[0]![1]).toMatchObject({ where: 'broadcast' });
  });

  it('is not counted after the end', async () => {
    const { conn, platform, report } = await refusing();
    conn.terminate();
    void conn.send(new Uint8Array(200));
    broadcast([conn], 'x');
    await platform.settle();
    expect(conn.stats.messagesRefused).toBe(0);
    expect(report).not.toHaveBeenCalled();
  });

  it('a ping that is refused and not awaited is reported', async () => {
    const report = vi.fn();
    const { conn, platform } = wired('server', { report });
    for (let i = 0; i < 66; i++) void conn.ping();
    await platform.settle();
    expect(report).toHaveBeenCalledTimes(1);
    expect(report.mock.calls[0]![1]).toMatchObject({ where: 'ping' });
    expect(conn.stats.messagesRefused).toBe(0);
  });
});
