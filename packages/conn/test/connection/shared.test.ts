import { BinaryMessage, ContinuationFrame, type Role, TextMessage } from '@ws/codec';
import { FakePlatform, naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { Conn } from '../../src/conn.ts';
import type { ConnShared } from '../../src/connection/shared.ts';
import { broadcast, PreparedMessage } from '../../src/index.ts';
import type { BorrowedMessage } from '../../src/message.ts';
import type { ConnSettings } from '../../src/options.ts';
import { type Wired, wired } from '../wired.ts';
import { countingPool, noBuffer } from './queue-of.ts';

function kitOf(conn: Conn): ConnShared {
  return conn['@ws/internals'].connection.shared;
}

/** So many connections of one kind. */
function several(count: number, settings: ConnSettings = {}): Wired[] {
  const platform = new FakePlatform();
  return Array.from({ length: count }, () => wired('server', settings, 0, platform));
}

function payloads({ transport }: Wired): string[] {
  return naiveDecode(transport.sent, 'client').frames.map(({ payload }) =>
    Buffer.from(payload).toString(),
  );
}

describe('connections of one role, platform and settings', () => {
  it('share their decoder and encoder, and other connections do not', () => {
    const platform = new FakePlatform();
    const shared = (role: Role, settings: ConnSettings): ConnShared =>
      kitOf(wired(role, settings, 0, platform).conn);
    const pool = { get: () => new Uint8Array(4096), put: () => {} };
    const one = shared('server', { readLimit: 1000, writeBufferPool: pool });
    expect(shared('server', { readLimit: 1000, writeBufferPool: pool })).toBe(one);
    expect(shared('server', { readLimit: 1000, writeBufferPool: { ...pool } })).not.toBe(one);
    expect(shared('server', { readLimit: 999, writeBufferPool: pool })).not.toBe(one);
    expect(shared('client', { readLimit: 1000, writeBufferPool: pool })).not.toBe(one);
    expect(kitOf(wired('server', { readLimit: 1000, writeBufferPool: pool }).conn)).not.toBe(one);
    const beating = shared('server', { heartbeat: { interval: 10, timeout: 10 } });
    expect(shared('server', { heartbeat: { interval: 10, timeout: 10 } })).toBe(beating);
    expect(shared('server', { heartbeat: { interval: 10, timeout: 11 } })).not.toBe(beating);
    expect(shared('server', { heartbeat: false })).not.toBe(beating);
  });

  it('share one decoder as long as they work in sequence', async () => {
    const all = several(50);
    for (const { conn } of all) void conn.receive((message) => conn.send(message));
    const { platform } = all[0]!;
    await platform.settle();
    for (const { frame, feed } of all) feed(frame(TextMessage, 'hello'));
    await platform.settle();
    expect(all.map(payloads)).toEqual(all.map(() => ['hello']));
    const { decoders } = kitOf(all[0]!.conn);
    expect(decoders.size).toBeLessThanOrEqual(64);
    expect(decoders.size).toBeGreaterThan(0);
  });

  it.each([
    { reads: 'receive', read: (conn: Conn) => conn.receive((message) => conn.send(message)) },
    {
      reads: 'receive with a handler that waits',
      read: (conn: Conn) =>
        conn.receive(async (message) => {
          const copy = message.copy();
          await Promise.resolve();
          await conn.send(copy.data);
        }),
    },
    {
      reads: 'for await',
      read: async (conn: Conn) => {
        for await (const message of conn) await conn.send(message.data);
      },
    },
    {
      reads: 'readMessage',
      read: async (conn: Conn) => {
        for (;;) await conn.send((await conn.readMessage()).data);
      },
    },
    {
      reads: 'nextReader',
      read: async (conn: Conn) => {
        for (;;) await conn.send(await (await conn.nextReader()).bytes());
      },
    },
  ])('never read bytes of another connection, reading by $reads', async ({ read }) => {
    const all = several(12, { readLimit: 100_000 });
    const { platform } = all[0]!;
    for (const { conn } of all) read(conn).catch(() => {});
    await platform.settle();
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    const sent: string[][] = all.map(() => []);
    // What each peer has still to send, cut anywhere.
    const coming = all.map(({ frame }, i) => {
      const frames: Uint8Array[] = [];
      for (let n = 0; n < 30; n++) {
        const text = `${i}:${n}:`.padEnd(random(n % 9 === 0 ? 9000 : 300), String(i % 10));
        sent[i]!.push(text);
        const cut = random(text.length);
        if (n % 3 === 0) {
          frames.push(
            frame(BinaryMessage, text.slice(0, cut), { fin: false }),
            frame(9, 'ping'),
            frame(ContinuationFrame, text.slice(cut)),
          );
        } else frames.push(frame(BinaryMessage, text));
      }
      return Buffer.concat(frames);
    });
    const dies = new Set([3, 8]);
    while (coming.some((bytes) => bytes.length > 0)) {
      const i = random(all.length);
      const size = Math.min(coming[i]!.length, 1 + random(random(4) === 0 ? 12_000 : 90));
      if (size === 0) continue;
      const { transport } = all[i]!;
      if (!transport.closed) transport.feed(coming[i]!.subarray(0, size));
      coming[i] = coming[i]!.subarray(size);
      if (dies.has(i) && coming[i].length < 3000 && !transport.closed) transport.break();
      if (random(3) === 0) await platform.settle();
    }
    await platform.settle();
    for (const [i, one] of all.entries()) {
      const echoed = payloads(one).filter((text) => text !== 'ping');
      if (dies.has(i)) expect(sent[i]!.slice(0, echoed.length)).toEqual(echoed);
      else expect(echoed).toEqual(sent[i]);
      expect(one.conn.stats.messagesOut).toBeGreaterThanOrEqual(echoed.length);
    }
    expect(all.filter(({ conn }) => conn.state === 'open')).toHaveLength(10);
  });

  it('apply settings that were changed while they were idle', async () => {
    const [strict, drops, plain] = several(3);
    const { platform } = strict!;
    strict!.conn.setReadLimit(3);
    const ended = strict!.conn.receive(() => {});
    void drops!.conn.discardReads();
    let got = '';
    void plain!.conn.receive((message) => {
      got += message.text();
    });
    await platform.settle();
    for (let i = 0; i < 3; i++) {
      for (const { frame, feed } of [drops!, plain!]) feed(frame(TextMessage, 'hello'));
      strict!.feed(strict!.frame(TextMessage, 'hi'));
      await platform.settle();
    }
    expect(got).toBe('hellohellohello');
    expect(drops!.conn.stats.messagesIn).toBe(3);
    expect(drops!.sent()).toEqual([]);
    strict!.feed(strict!.frame(TextMessage, 'hello'));
    await platform.settle();
    strict!.transport.break();
    await expect(ended).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT' });
    expect([drops!.conn.state, plain!.conn.state]).toEqual(['open', 'open']);
  });

  it('stay usable after another one failed in its handler, or broke a rule', async () => {
    const [throws, breaks, ...others] = several(4);
    const { platform } = throws!;
    throws!.conn
      .receive(() => {
        throw new Error('no');
      })
      .catch(() => {});
    for (const { conn } of [breaks!, ...others])
      conn.receive((message) => conn.send(message)).catch(() => {});
    await platform.settle();
    for (let i = 0; i < 3; i++) {
      if (i === 1) throws!.feed(throws!.frame(TextMessage, 'bad'));
      if (i === 1) breaks!.transport.feed('ffff');
      for (const { frame, feed } of others) feed(frame(TextMessage, `message ${i}`));
      await platform.settle();
    }
    const expected = ['message 0', 'message 1', 'message 2'];
    expect(others.map(payloads)).toEqual([expected, expected]);
    expect([throws!.conn.state, breaks!.conn.state]).toEqual(['closing', 'closing']);
    expect(kitOf(throws!.conn).decoders.size).toBeGreaterThan(0);
  });

  it('never show each other a borrowed message that a handler retains too long', async () => {
    const [careless, other] = several(2);
    const { platform } = careless!;
    let kept: BorrowedMessage | undefined;
    void careless!.conn.receive((message) => {
      kept = message;
    });
    const seen: unknown[] = [];
    void other!.conn.receive(() => {
      try {
        seen.push(kept?.text());
      } catch (error) {
        seen.push(error);
      }
    });
    await platform.settle();
    careless!.feed(careless!.frame(TextMessage, 'mine'));
    await platform.settle();
    other!.feed(other!.frame(TextMessage, 'secret'));
    await platform.settle();
    expect(seen).toEqual([expect.any(TypeError)]);
  });

  it('need one decoder even if all have a running handler', async () => {
    const all = several(300);
    const { platform } = all[0]!;
    const done: (() => void)[] = [];
    for (const { conn } of all) void conn.receive(() => new Promise<void>((go) => done.push(go)));
    await platform.settle();
    for (const { frame, feed } of all) feed(frame(TextMessage, 'hello'));
    await platform.settle();
    expect(done).toHaveLength(300);
    expect(kitOf(all[0]!.conn).decoders.size).toBe(1);
    for (const go of done) go();
  });

  it('keep at most 64 free decoders', async () => {
    const all = several(100);
    const { platform } = all[0]!;
    const decoders = kitOf(all[0]!.conn).decoders;
    for (const { feed, frame } of all) feed(frame(TextMessage, 'hello').subarray(0, 3));
    await platform.settle();
    expect(decoders.size).toBe(0);
    for (const { feed, frame } of all) feed(frame(TextMessage, 'hello').subarray(3));
    await platform.settle();
    expect(decoders.size).toBe(64);
  });

  it('keep a decoder that has part of a frame or of a message', async () => {
    const [one] = several(1);
    const { platform, feed, frame, conn } = one!;
    const { decoders } = kitOf(conn);
    void conn.receive(() => {});
    await platform.settle();
    const bytes = frame(TextMessage, 'hello');
    feed(bytes.subarray(0, 3));
    await platform.settle();
    expect(decoders.size).toBe(0);
    feed(bytes.subarray(3));
    await platform.settle();
    expect(decoders.size).toBe(1);
    feed(frame(TextMessage, 'hello', { fin: false }));
    await platform.settle();
    expect(decoders.size).toBe(0);
    feed(frame(ContinuationFrame, 'hello'));
    await platform.settle();
    expect(decoders.size).toBe(1);
    expect(conn.stats.messagesIn).toBe(2);
  });

  it('lease no buffer for the frames of a blocked transport while others write', async () => {
    const pool = countingPool();
    const [blocked, other] = several(2, { writeBufferPool: pool });
    const { platform, conn, transport } = blocked!;
    transport.block();
    void conn.send('hello');
    await platform.settle();
    for (const text of ['big ', 'world']) {
      void conn.send(text);
      await other!.conn.send(text);
      await platform.settle();
    }
    // That of the bytes in the blocked transport.
    expect(pool.lent).toBe(1);
    transport.drain();
    await platform.settle();
    expect(payloads(blocked!)).toEqual(['hello', 'big ', 'world']);
    expect(payloads(other!)).toEqual(['big ', 'world']);
    expect([pool.lent, conn.bufferedAmount]).toEqual([0, 0]);
  });
});

describe('an idle connection', () => {
  const idle: { after: string; act: (end: Wired) => unknown }[] = [
    { after: 'a write deadline', act: ({ conn }) => conn.setWriteDeadline(Date.now() + 60_000) },
    { after: 'no write deadline', act: ({ conn }) => conn.setWriteDeadline(null) },
    { after: 'data of no kind', act: ({ conn }) => conn.send({} as never) },
    { after: 'a type of no message', act: ({ conn }) => conn.writeMessage(7, 'a') },
    { after: 'a ping that is too long', act: ({ conn }) => conn.writeMessage(9, 'a'.repeat(126)) },
    { after: 'a writer of no message', act: ({ conn }) => conn.nextWriter(7) },
    {
      after: 'a writer with bad options',
      act: ({ conn }) => conn.nextWriter(1, { compress: 1 } as never),
    },
    {
      after: 'a writer that was given up',
      act: async ({ conn }) => (await conn.nextWriter(TextMessage)).abort(),
    },
    {
      after: 'a pool that failed',
      act: async ({ conn }) => {
        await conn.send('a').catch(() => {});
        await conn.writeControl(9, 'a').catch(() => {});
        await conn.writePreparedMessage(new PreparedMessage(TextMessage, 'a')).catch(() => {});
        return broadcast([conn], 'x'.repeat(70_000));
      },
    },
  ];

  it.each(idle)('keeps no write buffer, after $after', async ({ after, act }) => {
    const pool = countingPool();
    const writeBufferPool = after === 'a pool that failed' ? noBuffer : pool;
    const all = several(5, { writeBufferPool });
    const { platform } = all[0]!;
    await platform.settle();
    for (const end of all) await Promise.resolve(act(end)).catch(() => {});
    await platform.settle();
    expect(pool.lent).toBe(0);
    for (const { transport } of all) expect(transport.destroyed).toBe(false);
  });

  it('keeps no decoder while it waits for a message as a stream', async () => {
    const all = several(5);
    const { platform, conn } = all[0]!;
    await platform.settle();
    const readers = all.map((end) => end.conn.nextReader());
    await platform.settle();
    expect(kitOf(conn).decoders.size).toBe(0);
    // What the others wait for is nothing to this one.
    const other = wired('server', {}, 0, platform);
    const whole = other.conn.readMessage();
    other.feed(other.frame(TextMessage, 'whole'));
    expect((await whole).text()).toBe('whole');
    for (const { feed, frame } of all) {
      feed(frame(TextMessage, 'hel', { fin: false }));
      await platform.settle();
    }
    const pieces = await Promise.all(readers);
    for (const { feed, frame } of all) feed(frame(ContinuationFrame, 'lo'));
    expect(await Promise.all(pieces.map((reader) => reader.text()))).toEqual(
      all.map(() => 'hello'),
    );
  });
});
