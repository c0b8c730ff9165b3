// Writes that wait, and writes whose bytes are referenced, leave turns to timers and I/O.
import { FakePlatform, retryUntilTimer, TestTransport } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import { BinaryMessage, Conn, PreparedMessage, TextMessage } from '../../src/index.ts';
import { RESOLVED } from '../../src/time/promises.ts';
import { wired } from '../wired.ts';

describe('messages that wait for a MessageWriter', () => {
  it('are sent over several turns, in their order, with those that are sent meanwhile', async () => {
    const platform = new FakePlatform({ automatic: false });
    const { conn, output } = wired('server', { maxBufferedAmount: false }, 1 << 30, platform);
    await platform.settle();
    const writer = await conn.nextWriter(TextMessage);
    for (let i = 0; i < 5_000; i++) void conn.send(`${i}`);
    void writer.close();
    const inFirstTurn = conn.stats.messagesOut;
    expect(inFirstTurn).toBeLessThan(1_100);
    expect(inFirstTurn).toBeGreaterThan(900);
    void conn.send('5000');
    void conn.writePreparedMessage(new PreparedMessage(TextMessage, '5001'));
    expect(await output()).toEqual([
      'text',
      ...Array.from({ length: 5_002 }, (_, i) => `text ${i}`),
    ]);
  });

  it('are all sent before a close frame', async () => {
    const platform = new FakePlatform({ automatic: false });
    const { conn, sent } = wired('server', { maxBufferedAmount: false }, 1 << 30, platform);
    await platform.settle();
    const writer = await conn.nextWriter(TextMessage);
    for (let i = 0; i < 3_000; i++) void conn.send('x');
    void writer.close();
    void conn.close();
    await platform.settle();
    expect(sent().slice(-2)).toEqual(['text x', 'close 1000']);
    expect(sent()).toHaveLength(3_002);
  });

  it('are not overtaken by a message of an observer', async () => {
    const platform = new FakePlatform();
    let answers = 0;
    const messageOut = (): void => {
      if (answers++ === 1) void conn.send('of the observer');
    };
    Object.assign(platform, { observer: { messageOut } });
    const { conn, output } = wired('server', {}, 0, platform);
    const writer = await conn.nextWriter(TextMessage);
    for (const text of ['a', 'b', 'c']) void conn.send(text);
    await writer.close();
    expect(await output()).toEqual(['text', 'text a', 'text b', 'text c', 'text of the observer']);
  });
});

describe('a MessageWriter that its owner has forgotten', () => {
  const words =
    'websocket: a message has waited 5000 ms for an idle MessageWriter; close() the writer';

  it('is reported once, after 5 s', async () => {
    const report = vi.fn();
    const { conn, platform, output } = wired('server', { report });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('begun');
    void conn.send('waits');
    void conn.send('waits too');
    await platform.advance(4_900);
    expect(report).not.toHaveBeenCalled();
    await platform.advance(2_000);
    expect(report).toHaveBeenCalledTimes(1);
    expect(report.mock.calls[0]).toMatchObject([{ message: words }, { where: 'nextWriter' }]);
    await platform.advance(20_000);
    expect(report).toHaveBeenCalledTimes(1);
    await writer.close();
    expect(await output()).toEqual(['text begun', 'text waits', 'text waits too']);
    await platform.advance(60_000);
    expect(platform.timers).toBe(0);
  });

  it('is not reported while it writes, or when no message waits', async () => {
    const report = vi.fn();
    const { conn, platform } = wired('server', { report });
    const writer = await conn.nextWriter(TextMessage);
    await platform.advance(10_000);
    void conn.send('waits');
    for (let i = 0; i < 5; i++) {
      await platform.advance(2_000);
      await writer.write('more');
    }
    await writer.close();
    await platform.advance(20_000);
    expect(report).not.toHaveBeenCalled();
    expect(platform.timers).toBe(0);
  });

  it('leaves no timer when the connection ends', async () => {
    const { conn, platform } = wired('server');
    await conn.nextWriter(TextMessage);
    void conn.send('waits');
    await platform.settle();
    conn.terminate();
    await platform.settle();
    expect(platform.timers).toBe(0);
  });
});

describe('bytes that a server references', () => {
  /** A transport that takes all bytes at once and releases them. */
  class Greedy extends TestTransport {
    override write(_chunk: Uint8Array, release?: () => void): boolean {
      release?.();
      return true;
    }
  }

  it('of many awaited writes let timers run', async () => {
    const conn = new Conn(new Greedy(), { role: 'server', heartbeat: false });
    const bytes = new Uint8Array(70_000);
    await expect(retryUntilTimer(() => conn.send(bytes))).resolves.toBeUndefined();
    conn.terminate();
  });

  it('of many awaited writes below 64 KiB let timers run', async () => {
    const { nodePlatform } = await import('@ws/node-io');
    const conn = new Conn(new Greedy(), {
      role: 'server',
      heartbeat: false,
      platform: nodePlatform,
    });
    const bytes = new Uint8Array(40_000);
    await expect(retryUntilTimer(() => conn.send(bytes))).resolves.toBeUndefined();
    conn.terminate();
  });

  it('of a PreparedMessage are its own: the write does not wait for their release', async () => {
    const { conn, platform, transport } = wired('server', { highWaterMark: 1 << 20 });
    await platform.settle();
    transport.block();
    const message = new PreparedMessage(BinaryMessage, new Uint8Array(70_000));
    expect(conn.writePreparedMessage(message)).toBe(RESOLVED);
    await platform.settle();
  });
});

it('a write with a signal that waits is charged', async () => {
  const { conn, platform, transport, drain } = wired('server', {
    maxBufferedAmount: 100_000,
    report: () => {},
  });
  await platform.settle();
  transport.block();
  void conn.send(new Uint8Array(70_000));
  await platform.settle();
  const { signal } = new AbortController();
  for (let i = 0; i < 1_000; i++) void conn.send('x', { signal });
  expect(conn.stats.messagesRefused).toBeGreaterThan(950);
  await platform.settle();
  await drain();
  const refused = conn.stats.messagesRefused;
  await conn.send(new Uint8Array(90_000), { signal });
  expect(conn.stats.messagesRefused).toBe(refused);
});
