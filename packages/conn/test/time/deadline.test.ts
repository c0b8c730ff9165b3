import { sharedSlabPool } from '@ws/codec';
import { FakeHost } from '@ws/testkit';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Deadline } from '../src/deadline.ts';
import {
  broadcast,
  CloseMessage,
  type Conn,
  PingMessage,
  TextMessage,
  TimeoutError,
} from '../src/index.ts';
import { wired } from './wired.ts';

const soon = (ms: number): number => Date.now() + ms;

describe('Deadline', () => {
  /** A deadline at a time that stands still, and when it has struck. */
  function deadlineOf() {
    vi.spyOn(Date, 'now').mockReturnValue(5_000);
    const host = new FakeHost();
    const struck: number[] = [];
    const deadline = new Deadline(host, () => struck.push(host.now()));
    return { host, struck, deadline };
  }
  afterEach(() => void vi.restoreAllMocks());

  it.each([
    { says: 'a moment', at: 5_100 },
    { says: 'a Date', at: new Date(5_100) },
  ])('strikes once, when $says has come', async ({ at }) => {
    const { host, struck, deadline } = deadlineOf();
    deadline.set(at);
    await host.advance(99);
    expect(struck).toEqual([]);
    await host.advance(1_000);
    expect(struck).toEqual([100]);
  });

  it.each([5_000, 4_999, Number.NEGATIVE_INFINITY])('of %d has come at once', (at) => {
    const { host, struck, deadline } = deadlineOf();
    deadline.set(at);
    expect([struck, host.timers]).toEqual([[0], 0]);
  });

  it('is moved, taken away and cleared', async () => {
    const { host, struck, deadline } = deadlineOf();
    deadline.set(5_100);
    deadline.set(5_300);
    await host.advance(200);
    expect(struck).toEqual([]);
    deadline.set(null);
    expect(host.timers).toBe(0);
    deadline.set(Number.POSITIVE_INFINITY);
    expect(host.timers).toBe(0);
    deadline.set(5_100);
    deadline.clear();
    expect(host.timers).toBe(0);
    await host.advance(1_000);
    expect(struck).toEqual([]);
  });
});

describe('setReadDeadline', () => {
  it('strikes the pending read and every later one, for good', async () => {
    const { conn, host, feed, frame } = wired('server');
    conn.setReadDeadline(soon(5_000));
    const read = conn.readMessage();
    await host.advance(4_000);
    feed(frame(1, 'in time'));
    expect((await read).text()).toBe('in time');
    const late = conn.readMessage();
    await host.advance(2_000);
    await expect(late).rejects.toBeInstanceOf(TimeoutError);
    conn.setReadDeadline(null);
    feed(frame(1, 'late'));
    const error = await late.catch((e: unknown) => e);
    await expect(conn.readMessage()).rejects.toBe(error);
    expect(conn.state).toBe('open');
  });

  it('can be moved until it strikes', async () => {
    const { conn, host, feed, frame } = wired('server');
    conn.setReadDeadline(new Date(soon(5_000)));
    await host.advance(3_000);
    conn.setReadDeadline(soon(60_000));
    await host.advance(10_000);
    conn.setReadDeadline(null);
    await host.advance(100_000);
    feed(frame(1, 'x'));
    expect((await conn.readMessage()).text()).toBe('x');
    expect(host.timers).toBe(0);
  });

  it('strikes at once when it is past, also what is queued', async () => {
    const { conn, host, feed, frame } = wired('server');
    feed(frame(1, 'queued'));
    await host.settle();
    conn.setReadDeadline(soon(-1));
    await expect(conn.readMessage()).rejects.toBeInstanceOf(TimeoutError);
    await expect(conn.nextReader()).rejects.toBeInstanceOf(TimeoutError);
  });

  it('ends receive, iteration and a reader, and leaves pings answered and the closing handshake at work', async () => {
    const { conn, host, feed, frame, sent, transport } = wired('server');
    const end = conn.receive(() => {});
    conn.setReadDeadline(soon(1_000));
    await host.advance(1_100);
    await expect(end).rejects.toBeInstanceOf(TimeoutError);
    feed(frame(9, 'p'), frame(1, 'dropped'), frame(8, Uint8Array.of(0x03, 0xe8)));
    await host.settle();
    expect(sent()).toEqual(['pong p', 'close 1000']);
    transport.feedEnd();
    expect(await conn.closed).toMatchObject({ code: 1000, wasClean: true });
    expect(host.timers).toBe(0);
  });

  it('may be farther away than a timer reaches', async () => {
    const { conn, host } = wired('server');
    conn.setReadDeadline(soon(2 ** 31 + 50_000));
    const read = conn.readMessage();
    await host.advance(2 ** 31);
    expect(await Promise.race([read, Promise.resolve('pending')])).toBe('pending');
    await host.advance(60_000);
    await expect(read).rejects.toBeInstanceOf(TimeoutError);
  });

  it.each(['setReadDeadline', 'setWriteDeadline'] as const)(
    '%s refuses what is no moment',
    (name) => {
      const { conn } = wired('server');
      for (const at of [undefined, 'now', {}, true])
        expect(() => conn[name](at as never)).toThrow(TypeError);
      for (const at of [Number.NaN, new Date(Number.NaN)])
        expect(() => conn[name](at)).toThrow(RangeError);
    },
  );
});

describe('setWriteDeadline', () => {
  it('drops the transport when it strikes with writes under way', async () => {
    const { conn, host, transport } = wired('server', { highWaterMark: 100 });
    transport.block();
    void conn.send('x');
    await host.settle();
    const write = conn.send(new Uint8Array(1000));
    const read = conn.readMessage();
    conn.setWriteDeadline(soon(1_000));
    await host.advance(1_100);
    await expect(write).rejects.toBeInstanceOf(TimeoutError);
    await expect(read).rejects.toBeInstanceOf(TimeoutError);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
    await expect(conn.send('x')).rejects.toBeInstanceOf(TimeoutError);
  });

  it('strikes at the next write when nothing is under way', async () => {
    const { conn, host, sent } = wired('server');
    conn.setWriteDeadline(soon(1_000));
    await conn.send('in time');
    await host.advance(1_100);
    expect(conn.state).toBe('open');
    await expect(conn.send('late')).rejects.toBeInstanceOf(TimeoutError);
    expect(await conn.closed).toMatchObject({ code: 1006 });
    expect(sent()).toEqual(['text in time']);
  });

  it('can be moved before that write, and does not concern control frames', async () => {
    const { conn, host, sent } = wired('server');
    conn.setWriteDeadline(soon(-1));
    void conn.ping('p');
    conn.setWriteDeadline(soon(10_000));
    await conn.send('x');
    conn.setWriteDeadline(null);
    await host.settle();
    expect(sent()).toEqual(['ping p', 'text x']);
    expect(conn.state).toBe('open');
  });

  it('lets close() go on', async () => {
    const { conn, host, sent, feed, frame, transport } = wired('server');
    conn.setWriteDeadline(soon(-1));
    const closing = conn.close(1000);
    await host.settle();
    expect(sent()).toEqual(['close 1000']);
    feed(frame(8, Uint8Array.of(0x03, 0xe8)));
    transport.feedEnd();
    expect(await closing).toMatchObject({ wasClean: true });
  });

  it.each<{ call: string; act: (conn: Conn) => unknown }>([
    { call: 'close()', act: (conn: Conn) => conn.close(1011) },
    { call: 'ping()', act: (conn: Conn) => conn.ping() },
    { call: 'a close frame', act: (conn: Conn) => conn.writeControl(CloseMessage) },
    {
      call: 'another write deadline',
      act: (conn: Conn) => conn.setWriteDeadline(soon(60_000)),
    },
  ])('is the end, whatever comes behind it: $call', async ({ act }) => {
    const { conn, host, transport } = wired('server', { highWaterMark: 100 });
    transport.block();
    const lent = sharedSlabPool().lent;
    void conn.send(new Uint8Array(1000));
    conn.setWriteDeadline(soon(1_000));
    await host.advance(1_100);
    await Promise.resolve(act(conn)).catch(() => {});
    await host.settle();
    expect(conn.state).toBe('closed');
    expect(host.timers).toBe(0);
    expect(sharedSlabPool().lent).toBe(lent);
    await expect(conn.send('x')).rejects.toBeInstanceOf(TimeoutError);
  });

  it('lets nothing pass any more once the connection is dropped, and is not moved', async () => {
    const { conn, host, transport } = wired('server');
    conn.setWriteDeadline(soon(-1));
    conn.terminate();
    await expect(conn.writeControl(PingMessage)).rejects.toBeInstanceOf(TimeoutError);
    conn.setWriteDeadline(null);
    await expect(conn.send('lost')).rejects.toBeInstanceOf(TimeoutError);
    expect(broadcast([conn], 'lost')).toBe(0);
    await host.settle();
    expect([transport.sent.length, transport.ignoredWrites]).toEqual([0, 0]);
  });

  it('strikes an open writer', async () => {
    const { conn } = wired('server', { writeBufferSize: 4 });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('abcdef');
    conn.setWriteDeadline(soon(-1));
    await expect(writer.write('ghijk')).rejects.toBeInstanceOf(TimeoutError);
  });
});

describe('setReadLimit', () => {
  it('holds from the next message on, and for what is left of one under way', async () => {
    const { conn, feed, frame } = wired('server', { readLimit: 10 });
    feed(frame(1, 'x'.repeat(10)));
    await conn.readMessage();
    conn.setReadLimit(20);
    feed(frame(1, 'x'.repeat(20)));
    await conn.readMessage();
    conn.setReadLimit(false);
    feed(frame(1, 'x'.repeat(2_000)));
    await conn.readMessage();
    const reader = conn.nextReader();
    feed(frame(1, 'x'.repeat(15), { fin: false }));
    const all = (await reader).bytes();
    conn.setReadLimit(20);
    feed(frame(0, 'x'.repeat(6)));
    await expect(all).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT', limit: 20 });
  });

  it.each([0, -1, Number.NaN, 1.5, 2 ** 53])('refuses %d', (limit) => {
    const { conn } = wired('server');
    expect(() => conn.setReadLimit(limit)).toThrow(RangeError);
  });

  it('refuses other types', () => {
    const { conn } = wired('server');
    for (const limit of [undefined, null, '5', true])
      expect(() => conn.setReadLimit(limit as never)).toThrow(TypeError);
  });
});
