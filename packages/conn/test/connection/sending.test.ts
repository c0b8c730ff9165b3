// What leaves, in which order, and what waits or is refused while the transport is blocked.
import type { Role } from '@ws/codec';
import { FakePlatform, turn } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  type BufferPool,
  broadcast,
  type Conn,
  type ConnSettings,
  PingMessage,
  PongMessage,
  PreparedMessage,
  TextMessage,
} from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

const ROLES = ['server', 'client'] as const;

/** A connection whose transport holds a frame of `payload` bytes, and is blocked. */
async function blocked(settings: ConnSettings = {}, payload = 0): Promise<Wired> {
  const test = wired('server', { report: () => {}, ...settings });
  await test.platform.settle();
  test.transport.block();
  void test.conn.send(new Uint8Array(payload));
  await test.platform.settle();
  return test;
}

/** A buffer pool that counts the buffers that are lent. */
function countingPool(): BufferPool & { lent: number } {
  return {
    lent: 0,
    get() {
      this.lent++;
      return new Uint8Array(65_536);
    },
    put() {
      this.lent--;
    },
  };
}

describe('maxBufferedAmount', () => {
  it.each<[string, string | Uint8Array, boolean]>([
    ['50 bytes', new Uint8Array(50), true],
    ['51 bytes', new Uint8Array(51), false],
    ['50 letters', 'x'.repeat(50), true],
    ['51 letters', 'x'.repeat(51), false],
    ['25 letters of two bytes', 'é'.repeat(25), true],
    ['26 letters of two bytes', 'é'.repeat(26), false],
  ])('of 100 has room for 50 bytes beside 50 bytes: %s', async (_, data, fits) => {
    const { conn } = await blocked({ maxBufferedAmount: 100, highWaterMark: 50 }, 48);
    expect(conn.bufferedAmount).toBe(50);
    void conn.send(data);
    expect(conn.stats.messagesRefused).toBe(fits ? 0 : 1);
  });

  it('is named by the error, with the sizes', async () => {
    const { conn } = await blocked({ maxBufferedAmount: 100, highWaterMark: 50 }, 48);
    await expect(conn.send(new Uint8Array(51))).rejects.toThrow(
      'websocket: the message was not sent: 50 bytes are already buffered and 51 more would exceed maxBufferedAmount (100); await your writes',
    );
  });

  it.each([
    { says: 'less than the mark waits', highWaterMark: 51, refused: 0 },
    { says: 'the mark is reached', highWaterMark: 50, refused: 1 },
    { says: 'the mark is the limit', highWaterMark: 100, refused: 0 },
    { says: 'the mark is above the limit', highWaterMark: 101, refused: 1 },
  ])('refuses $refused message of any size when $says', async ({ highWaterMark, refused }) => {
    const { conn } = await blocked({ maxBufferedAmount: 100, highWaterMark }, 48);
    void conn.send(new Uint8Array(1_000));
    expect(conn.stats.messagesRefused).toBe(refused);
  });

  it('hands earlier frames over before it refuses a message', async () => {
    const { conn, platform, transport } = wired('server', {
      maxBufferedAmount: 100,
      highWaterMark: 10,
    });
    await platform.settle();
    for (const size of [60, 39]) void conn.send('x'.repeat(size));
    expect([transport.writes.length, conn.stats.messagesRefused]).toEqual([1, 0]);
  });
});

describe.each(ROLES)('the frames of one turn of a %s', (role) => {
  it('leave at once when they fill 64 KiB', async () => {
    const { conn, platform, transport } = wired(role);
    await platform.settle();
    const half = new Uint8Array(32_768 - (role === 'server' ? 4 : 8));
    void conn.send(half);
    void conn.send(half.subarray(1));
    expect(transport.writes).toHaveLength(0);
    await platform.settle();
    expect(transport.writes).toHaveLength(1);
    void conn.send(half);
    void conn.send(half);
    expect(transport.writes).toHaveLength(2);
  });
});

describe('the writes of one turn', () => {
  it.each([
    ['a thousand', 1, 1_001, 999],
    ['1 MiB', 32_764, 33, 31],
  ])('wait for the next turn from %s on', async (_, size, count, settled) => {
    const platform = new FakePlatform({ automatic: false });
    const { conn } = wired('server', {}, 0, platform);
    await platform.settle();
    let done = 0;
    for (let i = 0; i < count; i++) void conn.send(new Uint8Array(size)).then(() => done++);
    await turn();
    expect(done).toBe(settled);
    await platform.settle();
    expect(done).toBe(count);
  });
});

describe('a blocked transport', () => {
  it('gets control frames before messages, with the newest pong of each kind', async () => {
    const { conn, platform, transport, frame, deliver, output } = await blocked();
    void conn.send('waits');
    await deliver(frame(PingMessage, '1'), frame(PingMessage, '2'), frame(PingMessage, '3'));
    for (const text of ['a', 'b', 'c']) void conn.writeControl(PongMessage, text);
    void conn.writeControl(PingMessage, 'ping');
    await platform.settle();
    expect(conn.stats.pingsOut).toBe(0);
    transport.drain();
    expect(await output()).toEqual(['binary', 'pong 3', 'pong c', 'ping ping', 'text waits']);
    expect(conn.stats.bytesOut).toBe(transport.sent.length);
  });

  it('keeps writers waiting when it blocks again within its drain', async () => {
    const { conn, transport, drain } = await blocked({ highWaterMark: 100 });
    let isWritten = false;
    void conn.send('x'.repeat(120)).then(() => (isWritten = true));
    const write = transport.write.bind(transport);
    transport.write = (chunk, release) => {
      transport.block();
      return write(chunk, release);
    };
    await drain();
    expect(isWritten).toBe(false);
    await drain();
    expect(isWritten).toBe(true);
  });

  it('gets no waiting message after a fault of the peer, and its writer the reason', async () => {
    const { conn, transport, feed, frame, output } = await blocked();
    const waits = conn.send(new Uint8Array(70_000));
    feed(frame(3));
    await expect(waits).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
    transport.drain();
    expect(await output()).toEqual(['binary', expect.stringMatching(/^close 1002/)]);
  });
});

describe('a transport', () => {
  it('needs no cork', async () => {
    const { conn, transport, output } = wired('server');
    Object.assign(transport, { cork: undefined, uncork: undefined });
    void conn.send('before');
    void conn.send(new Uint8Array(65_537));
    expect(await output()).toEqual(['text before', 'binary <65537>']);
  });

  it.each([10, 9_000, 70_000])(
    'that delivers, and blocks, within a write keeps the order of messages: %i bytes',
    async (size) => {
      const { conn, platform, transport, feed, frame, sent, drain } = wired('server');
      await platform.settle();
      const write = transport.write.bind(transport);
      transport.write = (chunk, release) => {
        transport.write = write;
        transport.block();
        const hasRoom = write(chunk, release);
        feed(frame(1, 'hi'));
        return hasRoom;
      };
      void conn.receive(() => void broadcast([conn], '1 small'));
      void conn.send('0 first');
      await platform.settle();
      broadcast([conn], `2 ${'.'.repeat(size)}`);
      void conn.send('3 send');
      broadcast([conn], '4 last');
      await platform.settle();
      await drain();
      expect(sent().map((text) => text.slice(0, 6))).toEqual([
        'text 0',
        'text 1',
        size < 100 ? 'text 2' : 'text <',
        'text 3',
        'text 4',
      ]);
    },
  );
});

describe('a write buffer of the user', () => {
  it('is leased with the first frame, until the transport has sent it', async () => {
    const pool = countingPool();
    const { conn, platform, transport } = wired('server', { writeBufferPool: pool }, 100);
    await platform.settle();
    transport.block();
    void conn.send('a');
    expect(pool.lent).toBe(1);
    await platform.settle();
    expect(pool.lent).toBe(1);
    transport.drain();
    expect(pool.lent).toBe(0);
  });

  it('is leased once for a blocked transport while other connections write', async () => {
    const pool = countingPool();
    const platform = new FakePlatform();
    const [slow, other] = [0, 1].map(() =>
      wired('server', { writeBufferPool: pool }, 0, platform),
    ) as [Wired, Wired];
    slow.transport.block();
    void slow.conn.send('hello');
    await platform.settle();
    for (const text of ['big', 'world']) {
      void slow.conn.send(text);
      await other.conn.send(text);
      await platform.settle();
    }
    expect(pool.lent).toBe(1);
    slow.transport.drain();
    await platform.settle();
    expect(slow.sent()).toEqual(['text hello', 'text big', 'text world']);
    expect(other.sent()).toEqual(['text big', 'text world']);
    expect([pool.lent, slow.conn.bufferedAmount]).toEqual([0, 0]);
  });

  const calls: readonly (readonly [string, (conn: Conn) => unknown])[] = [
    ['a write deadline', (conn) => conn.setWriteDeadline(Date.now() + 60_000)],
    ['data of no kind', (conn) => conn.send({} as never)],
    ['a type of no message', (conn) => conn.writeMessage(7, 'a')],
    ['a ping that is too long', (conn) => conn.writeMessage(PingMessage, 'a'.repeat(126))],
    ['a writer of no message', (conn) => conn.nextWriter(7)],
    ['a writer with bad options', (conn) => conn.nextWriter(1, { compress: 1 } as never)],
    ['an aborted writer', async (conn) => (await conn.nextWriter(TextMessage)).abort()],
    ['a message', (conn) => conn.send('a')],
    [
      'a prepared message',
      (conn) => conn.writePreparedMessage(new PreparedMessage(BinaryMessage, 'a')),
    ],
    ['a broadcast', (conn) => broadcast([conn], 'x'.repeat(70_000))],
  ];
  const roles: readonly Role[] = ROLES;
  it.each(roles.flatMap((role) => calls.map(([name, act]) => [role, name, act] as const)))(
    'is not kept by a %s after %s',
    async (role, _, act) => {
      const pool = countingPool();
      const { conn, platform, transport } = wired(role, { writeBufferPool: pool });
      await platform.settle();
      await Promise.resolve(act(conn)).catch(() => {});
      await platform.settle();
      expect([pool.lent, transport.destroyed]).toEqual([0, false]);
    },
  );
});
