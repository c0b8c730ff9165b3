// An error of the user's buffer pool rejects a write. Without a caller that sees the rejection, it
// ends the connection.
import { sharedMessageBuffers } from '@ws/codec';
import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  type BufferPool,
  broadcast,
  CloseMessage,
  type Conn,
  type ConnSettings,
  PingMessage,
  TextMessage,
  TransportError,
} from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

class FailingPool implements BufferPool {
  /** How many buffers it has. */
  left = Infinity;

  set fails(on: boolean) {
    this.left = on ? 0 : Infinity;
  }

  get(): undefined {
    if (this.left === 0) throw new Error('the pool is empty');
    this.left--;
    return undefined;
  }

  put(): void {}
}

interface Room {
  readonly pool: FailingPool;
  readonly platform: FakePlatform;
  readonly ends: readonly Wired[];
  readonly conns: readonly Conn[];
}

async function room(
  count: number,
  settings: ConnSettings = {},
  mark = 1_000_000,
  role: 'client' | 'server' = 'server',
): Promise<Room> {
  const pool = new FailingPool();
  const platform = new FakePlatform();
  const ends = Array.from({ length: count }, () =>
    wired(role, { writeBufferPool: pool, ...settings }, mark, platform),
  );
  await platform.settle();
  return { pool, platform, ends, conns: ends.map(({ conn }) => conn) };
}

/** That the connection ended, for the pool. */
async function failed({ conn, platform }: Wired): Promise<void> {
  await platform.settle();
  expect(conn.state).toBe('closed');
  const { code, wasClean, error } = await conn.closed;
  expect({ code, wasClean }).toMatchObject({ wasClean: false });
  expect(error).toBeInstanceOf(TransportError);
  expect((error as Error).cause).toEqual(new Error('the pool is empty'));
}

describe('a failing buffer pool', () => {
  it('is not called when a broadcast leaves, also to a slow connection', async () => {
    const { pool, platform, ends, conns } = await room(3);
    const slow = ends[0]!;
    slow.transport.block();
    void slow.conn.send('before');
    await platform.settle();
    pool.fails = true;
    expect(broadcast(conns, 'hello')).toBe(3);
    await platform.settle();
    pool.fails = false;
    await Promise.all(conns.map((conn) => conn.send('after')));
    slow.transport.drain();
    await platform.settle();
    expect(ends.map(({ sent }) => sent())).toEqual([
      ['text before', 'text hello', 'text after'],
      ['text hello', 'text after'],
      ['text hello', 'text after'],
    ]);
  });

  it('rejects a write after a broadcast, and the broadcast leaves', async () => {
    const { pool, platform, ends, conns } = await room(2);
    expect(broadcast(conns, 'hello')).toBe(2);
    pool.fails = true;
    await expect(conns[0]!.send('mine')).rejects.toThrow('the pool is empty');
    pool.fails = false;
    await conns[0]!.send('next');
    await platform.settle();
    expect(ends.map(({ sent }) => sent())).toEqual([['text hello', 'text next'], ['text hello']]);
  });

  it('rejects a write after a broadcast with its own buffer, and the broadcast leaves', async () => {
    const { pool, platform, ends, conns } = await room(2);
    broadcast(conns, 'hello');
    pool.left = 1;
    await expect(conns[0]!.send('x'.repeat(20_000))).rejects.toThrow('the pool is empty');
    await platform.settle();
    expect(ends.map(({ sent }) => sent())).toEqual([['text hello'], ['text hello']]);
  });

  it('prevents all of several shared frames when it fails between two of them', async () => {
    const { pool, platform, ends, conns } = await room(2);
    for (let i = 0; i < 3; i++) broadcast(conns, `${i}`.repeat(3000));
    pool.left = 1;
    await expect(conns[0]!.send('mine')).rejects.toThrow('the pool is empty');
    await platform.settle();
    expect(ends[0]!.sent()).toEqual(['text <3000>', 'text <3000>', 'text <3000>']);
    expect(ends[1]!.sent()).toEqual(ends[0]!.sent());
  });

  it.each(['with', 'without'])(
    'ends a connection with a pending pong, %s a reader',
    async (reader) => {
      const { pool, platform, ends } = await room(3);
      const [one, ...others] = ends as [Wired, ...Wired[]];
      if (reader === 'with') for (const { conn } of ends) void conn.receive(() => {});
      await platform.settle();
      pool.fails = true;
      one.feed(one.frame(PingMessage, 'a'));
      await failed(one);
      pool.fails = false;
      for (const { feed, frame } of others) feed(frame(PingMessage, 'b'));
      await platform.settle();
      expect(others.map(({ sent }) => sent())).toEqual([['pong b'], ['pong b']]);
    },
  );

  it('ends a connection with a pending ping, and no other connection', async () => {
    const { pool, platform, ends } = await room(2, {
      heartbeat: { interval: 2000, timeout: 2000 },
    });
    const healthy = wired('server', { heartbeat: { interval: 2000, timeout: 2000 } }, 0, platform);
    pool.fails = true;
    await platform.advance(2500);
    for (const end of ends) await failed(end);
    expect(healthy.sent()).toEqual(['ping \0\0\0\x01']);
  });

  it.each<{ says: string; begin: (end: Wired) => unknown }>([
    { says: 'that is closed', begin: ({ conn }) => conn.close() },
    { says: 'that fails', begin: ({ feed, frame }) => feed(frame(3, 'no such opcode')) },
    { says: 'whose peer closes', begin: ({ feed, frame }) => feed(frame(CloseMessage)) },
    {
      says: 'whose peer closes, with a handler for that',
      begin: ({ conn, feed, frame }) => {
        conn.setCloseHandler(async () => {});
        feed(frame(CloseMessage));
      },
    },
  ])('ends a connection $says, without a close frame', async ({ begin }) => {
    const { pool, platform, ends } = await room(1);
    void ends[0]!.conn.receive(() => {});
    await platform.settle();
    pool.fails = true;
    begin(ends[0]!);
    await platform.settle();
    expect(ends[0]!.transport.destroyed).toBe(true);
    expect(ends[0]!.sent()).toEqual([]);
    const { wasClean } = await ends[0]!.conn.closed;
    expect(wasClean).toBe(false);
    await expect(ends[0]!.conn.send('late')).rejects.toBeInstanceOf(TransportError);
  });

  it('rejects control frames of the user, and an unsent ping does not wait', async () => {
    const { pool, platform, ends, conns } = await room(1, { report: () => {} });
    const conn = conns[0]!;
    pool.fails = true;
    await expect(conn.writeControl(PingMessage, 'a')).rejects.toThrow('the pool is empty');
    for (let i = 0; i < 65; i++) {
      await expect(conn.ping('b')).rejects.toThrow('the pool is empty');
    }
    // The sweep of idle connections sets a timer, too.
    await platform.advance(100);
    expect(platform.timers).toBe(0);
    pool.fails = false;
    void conn.ping('c').catch(() => {});
    await platform.settle();
    expect(ends[0]!.sent()).toEqual(['ping c']);
  });

  it('rejects a fragment of a writer, and no later message', async () => {
    const { pool, platform, ends, conns } = await room(1, { writeBufferSize: 4 });
    const writer = await conns[0]!.nextWriter(TextMessage);
    pool.fails = true;
    await expect(writer.write('longer than a fragment')).rejects.toThrow('the pool is empty');
    pool.fails = false;
    writer.abort();
    await platform.settle();
    expect(ends[0]!.sent()).toEqual([]);
  });

  it('rejects a close frame of writeControl', async () => {
    const { pool, conns } = await room(1);
    pool.fails = true;
    await expect(conns[0]!.writeControl(CloseMessage)).rejects.toBeInstanceOf(TransportError);
  });

  it('retains no pooled message that could not be sent', async () => {
    const { pool, platform, ends } = await room(1);
    const { lent } = sharedMessageBuffers();
    const errors: unknown[] = [];
    const { conn, frame, transport } = ends[0]!;
    void conn.receive(async (message) => {
      await conn.send(message.borrow()).catch((error: unknown) => errors.push(error));
    });
    pool.fails = true;
    const bytes = frame(BinaryMessage, new Uint8Array(200_000));
    for (let i = 0; i < bytes.length; i += 50_000) {
      transport.feed(bytes.subarray(i, i + 50_000));
      await platform.settle();
    }
    expect(errors).toEqual([new Error('the pool is empty')]);
    expect(sharedMessageBuffers().lent).toBe(lent);
  });

  it('is not called for a long message', async () => {
    const { pool, platform, ends } = await room(1, {}, 1_000_000, 'client');
    const { conn } = ends[0]!;
    pool.fails = true;
    for (const data of ['x'.repeat(200_000), new Uint8Array(200_000)]) await conn.send(data);
    await platform.settle();
    expect(ends[0]!.sent()).toEqual(['text <200000>', 'binary <200000>']);
  });
});

describe('a buffer pool whose put throws', () => {
  it('does not fail a write with a buffer that is too small', async () => {
    const platform = new FakePlatform();
    const pool: BufferPool = {
      get: () => new Uint8Array(8),
      put: () => {
        throw new Error('no');
      },
    };
    const { conn, output } = wired('server', { writeBufferPool: pool }, 0, platform);
    await conn.writeMessage(TextMessage, 'longer than eight bytes');
    expect(await output()).toEqual(['text longer than eight bytes']);
  });
});
