import { sharedSlabPool } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import {
  broadcast,
  CloseMessage,
  type Conn,
  PingMessage,
  TextMessage,
  TimeoutError,
} from '../../src/index.ts';
import { wired } from '../wired.ts';

const soon = (ms: number): number => Date.now() + ms;

describe('setReadDeadline', () => {
  it('rejects the pending read and every later one, permanently', async () => {
    const { conn, platform, feed, frame } = wired('server');
    conn.setReadDeadline(soon(5_000));
    const read = conn.readMessage();
    await platform.advance(4_000);
    feed(frame(1, 'in time'));
    expect((await read).text()).toBe('in time');
    const late = conn.readMessage();
    await platform.advance(2_000);
    await expect(late).rejects.toBeInstanceOf(TimeoutError);
    conn.setReadDeadline(null);
    feed(frame(1, 'late'));
    const error = await late.catch((e: unknown) => e);
    await expect(conn.readMessage()).rejects.toBe(error);
    expect(conn.state).toBe('open');
  });

  it('can be moved until it expires', async () => {
    const { conn, platform, feed, frame } = wired('server');
    conn.setReadDeadline(new Date(soon(5_000)));
    await platform.advance(3_000);
    conn.setReadDeadline(soon(60_000));
    await platform.advance(10_000);
    conn.setReadDeadline(null);
    await platform.advance(100_000);
    feed(frame(1, 'x'));
    expect((await conn.readMessage()).text()).toBe('x');
    // The sweep of idle connections sets a timer, too.
    await platform.advance(100);
    expect(platform.timers).toBe(0);
  });

  it('expires at once when it is past, also for queued messages', async () => {
    const { conn, frame, deliver } = wired('server');
    await deliver(frame(1, 'queued'));
    conn.setReadDeadline(soon(-1));
    await expect(conn.readMessage()).rejects.toBeInstanceOf(TimeoutError);
    await expect(conn.nextReader()).rejects.toBeInstanceOf(TimeoutError);
  });

  it('ends receive, iteration and a reader, but not pongs and the closing handshake', async () => {
    const { conn, platform, transport, feed, frame, output } = wired('server');
    const end = conn.receive(() => {});
    conn.setReadDeadline(soon(1_000));
    await platform.advance(1_100);
    await expect(end).rejects.toBeInstanceOf(TimeoutError);
    feed(frame(9, 'p'), frame(1, 'dropped'), frame(8, Uint8Array.of(0x03, 0xe8)));
    expect(await output()).toEqual(['pong p', 'close 1000']);
    transport.feedEnd();
    expect(await conn.closed).toMatchObject({ code: 1000, wasClean: true });
    expect(platform.timers).toBe(0);
  });

  it('may be farther away than the maximum of a timer', async () => {
    const { conn, platform } = wired('server');
    conn.setReadDeadline(soon(2 ** 31 + 50_000));
    const read = conn.readMessage();
    await platform.advance(2 ** 31);
    expect(await Promise.race([read, Promise.resolve('pending')])).toBe('pending');
    await platform.advance(60_000);
    await expect(read).rejects.toBeInstanceOf(TimeoutError);
  });

  it.each(['setReadDeadline', 'setWriteDeadline'] as const)(
    '%s rejects an invalid time',
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
  it('drops the transport when it expires during a write', async () => {
    const { conn, platform, block } = wired('server', { highWaterMark: 100 });
    await block('x');
    const write = conn.send(new Uint8Array(1000));
    const read = conn.readMessage();
    conn.setWriteDeadline(soon(1_000));
    await platform.advance(1_100);
    await expect(write).rejects.toBeInstanceOf(TimeoutError);
    await expect(read).rejects.toBeInstanceOf(TimeoutError);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
    await expect(conn.send('x')).rejects.toBeInstanceOf(TimeoutError);
  });

  it('applies to the next write when it expires without one', async () => {
    const { conn, platform, sent } = wired('server');
    conn.setWriteDeadline(soon(1_000));
    await conn.send('in time');
    await platform.advance(1_100);
    expect(conn.state).toBe('open');
    await expect(conn.send('late')).rejects.toBeInstanceOf(TimeoutError);
    expect(await conn.closed).toMatchObject({ code: 1006 });
    expect(sent()).toEqual(['text in time']);
  });

  it('can be moved before that write, and does not apply to control frames', async () => {
    const { conn, output } = wired('server');
    conn.setWriteDeadline(soon(-1));
    void conn.ping('p');
    conn.setWriteDeadline(soon(10_000));
    await conn.send('x');
    conn.setWriteDeadline(null);
    expect(await output()).toEqual(['ping p', 'text x']);
    expect(conn.state).toBe('open');
  });

  it('does not affect close()', async () => {
    const { conn, transport, feed, frame, output } = wired('server');
    conn.setWriteDeadline(soon(-1));
    const closing = conn.close(1000);
    expect(await output()).toEqual(['close 1000']);
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
  ])('is permanent, for any later call: $call', async ({ act }) => {
    const { conn, platform, transport } = wired('server', { highWaterMark: 100 });
    transport.block();
    const lent = sharedSlabPool().lent;
    void conn.send(new Uint8Array(1000));
    conn.setWriteDeadline(soon(1_000));
    await platform.advance(1_100);
    await Promise.resolve(act(conn)).catch(() => {});
    await platform.settle();
    expect(conn.state).toBe('closed');
    expect(platform.timers).toBe(0);
    expect(sharedSlabPool().lent).toBe(lent);
    await expect(conn.send('x')).rejects.toBeInstanceOf(TimeoutError);
  });

  it('sends no more once the connection is dropped, and cannot be moved', async () => {
    const { conn, platform, transport } = wired('server');
    conn.setWriteDeadline(soon(-1));
    conn.terminate();
    await expect(conn.writeControl(PingMessage)).rejects.toBeInstanceOf(TimeoutError);
    conn.setWriteDeadline(null);
    await expect(conn.send('lost')).rejects.toBeInstanceOf(TimeoutError);
    expect(broadcast([conn], 'lost')).toBe(0);
    await platform.settle();
    expect([transport.sent.length, transport.ignoredWrites]).toEqual([0, 0]);
  });

  it('fails an open writer', async () => {
    const { conn } = wired('server', { writeBufferSize: 4 });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('abcdef');
    conn.setWriteDeadline(soon(-1));
    await expect(writer.write('ghijk')).rejects.toBeInstanceOf(TimeoutError);
  });
});

describe('setReadLimit', () => {
  it('applies to the next message, and to the rest of the current one', async () => {
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

  it.each([0, -1, Number.NaN, 1.5, 2 ** 53])('rejects %d', (limit) => {
    const { conn } = wired('server');
    expect(() => conn.setReadLimit(limit)).toThrow(RangeError);
  });

  it('rejects other types', () => {
    const { conn } = wired('server');
    for (const limit of [undefined, null, '5', true])
      expect(() => conn.setReadLimit(limit as never)).toThrow(TypeError);
  });
});
