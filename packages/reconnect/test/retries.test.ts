// A loop that retries a refused call must not starve timers and I/O: what it waits for comes by them.
import vm from 'node:vm';
import { BackpressureError, Conn, ReadPendingError } from '@ws/conn';
import { retryUntilTimer, TestTransport } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import { ReconnectingConn } from '../src/index.ts';

describe('a loop that retries', () => {
  it('send of a ReconnectingConn without a connection lets timers run', async () => {
    const live = new ReconnectingConn(() => new Promise<Conn>(() => {}), {
      maxQueuedMessages: 1,
      report: () => {},
    });
    void live.send('kept');
    expect(await retryUntilTimer(() => live.send('x'))).toBeInstanceOf(BackpressureError);
    await live.close();
  });

  it('receive of a ReconnectingConn that has a receiver lets timers run', async () => {
    const live = new ReconnectingConn(() => new Promise<Conn>(() => {}));
    void live.receive(() => {});
    expect(await retryUntilTimer(() => live.receive(() => {}))).toBeInstanceOf(ReadPendingError);
    await live.close();
  });

  it('a loop over a ReconnectingConn that has ended lets timers run', async () => {
    const live = new ReconnectingConn(() => Promise.reject(new Error('no dial')), {
      retry: () => false,
      report: () => {},
    });
    await live.closed;
    const read = async (): Promise<void> => {
      for await (const message of live) message.text();
    };
    expect(await retryUntilTimer(read)).toMatchObject({ message: 'no dial' });
  });
});

describe('a refused message that no code awaits', () => {
  it('by a ReconnectingConn is counted, and the first is reported', async () => {
    const report = vi.fn();
    const live = new ReconnectingConn(() => new Promise<Conn>(() => {}), {
      maxQueuedMessages: 2,
      report,
    });
    for (let i = 0; i < 5; i++) void live.send('x');
    await expect(live.send('x')).rejects.toThrow(
      'the message was not sent: 2 messages wait for a connection',
    );
    expect(live.stats).toEqual({ messagesRefused: 4 });
    expect(report).toHaveBeenCalledTimes(1);
    expect(report.mock.calls[0]).toMatchObject([
      { code: 'WS_ERR_BACKPRESSURE' },
      { where: 'send' },
    ]);
    await live.close();
  });

  it('by the open connection of a ReconnectingConn is counted by both', async () => {
    const report = vi.fn();
    const transport = new TestTransport();
    const conn = new Conn(transport, { role: 'server', maxBufferedAmount: 1_000, report });
    transport.block();
    void conn.send(new Uint8Array(900));
    const live = new ReconnectingConn(() => Promise.resolve(conn), { report: () => {} });
    await new Promise((resolve) => live.on('open', resolve));
    void live.send(new Uint8Array(200));
    await expect(live.send(new Uint8Array(200))).rejects.toThrow('was not sent');
    expect([live.stats.messagesRefused, conn.stats.messagesRefused]).toEqual([2, 2]);
    expect(report).toHaveBeenCalledTimes(1);
    conn.terminate();
    await live.close();
  });
});

it('retry is refused with a promise of another realm', async () => {
  const live = new ReconnectingConn(() => Promise.reject(new Error('no')), {
    retry: () => vm.runInNewContext('Promise.resolve(true)') as never,
    report: () => {},
  });
  const { error } = await live.closed;
  expect(String(error)).toContain('got a promise; it must be synchronous');
});
