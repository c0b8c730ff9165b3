import { BinaryMessage, ContinuationFrame, type Role, TextMessage } from '@ws/codec';
import { FakeHost, naiveDecode } from '@ws/testkit';
import { describe, expect, it, vi } from 'vitest';
import { type Conn, sessionOf } from '../src/conn.ts';
import { broadcast, PreparedMessage } from '../src/index.ts';
import type { Kit } from '../src/kit.ts';
import type { BorrowedMessage } from '../src/message.ts';
import type { ConnSettings } from '../src/options.ts';
import { type Wired, wired } from './wired.ts';

function kitOf(conn: Conn): Kit {
  return sessionOf(conn).kit;
}

/** So many connections of one kind. */
function several(count: number, settings: ConnSettings = {}): Wired[] {
  const host = new FakeHost();
  return Array.from({ length: count }, () => wired('server', settings, 0, host));
}

function payloads({ transport }: Wired): string[] {
  return naiveDecode(transport.sent, 'client').frames.map(({ payload }) =>
    Buffer.from(payload).toString(),
  );
}

describe('connections of one role, host and settings', () => {
  it('share a kit, and others do not', () => {
    const host = new FakeHost();
    const kit = (role: Role, settings: ConnSettings): Kit =>
      kitOf(wired(role, settings, 0, host).conn);
    const pool = { get: () => new Uint8Array(4096), put: () => {} };
    const one = kit('server', { readLimit: 1000, writeBufferPool: pool });
    expect(kit('server', { readLimit: 1000, writeBufferPool: pool })).toBe(one);
    expect(kit('server', { readLimit: 1000, writeBufferPool: { ...pool } })).not.toBe(one);
    expect(kit('server', { readLimit: 999, writeBufferPool: pool })).not.toBe(one);
    expect(kit('client', { readLimit: 1000, writeBufferPool: pool })).not.toBe(one);
    expect(kitOf(wired('server', { readLimit: 1000, writeBufferPool: pool }).conn)).not.toBe(one);
    const beating = kit('server', { heartbeat: { interval: 10, timeout: 10 } });
    expect(kit('server', { heartbeat: { interval: 10, timeout: 10 } })).toBe(beating);
    expect(kit('server', { heartbeat: { interval: 10, timeout: 11 } })).not.toBe(beating);
    expect(kit('server', { heartbeat: false })).not.toBe(beating);
  });

  it('share one reading and one writing side as long as they work one after the other', async () => {
    const all = several(50);
    for (const { conn } of all) void conn.receive((message) => conn.send(message));
    const { host } = all[0]!;
    await host.settle();
    for (const { frame, feed } of all) feed(frame(TextMessage, 'hello'));
    await host.settle();
    expect(all.map(payloads)).toEqual(all.map(() => ['hello']));
    const { readings, writings } = kitOf(all[0]!.conn);
    expect(writings.size).toBe(1);
    expect(readings.size).toBeLessThanOrEqual(64);
    expect(readings.size).toBeGreaterThan(0);
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
  ])('never get what another one was sent, reading by $reads', async ({ read }) => {
    const all = several(12, { readLimit: 100_000 });
    const { host } = all[0]!;
    for (const { conn } of all) read(conn).catch(() => {});
    await host.settle();
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
      if (random(3) === 0) await host.settle();
    }
    await host.settle();
    for (const [i, one] of all.entries()) {
      const echoed = payloads(one).filter((text) => text !== 'ping');
      if (dies.has(i)) expect(sent[i]!.slice(0, echoed.length)).toEqual(echoed);
      else expect(echoed).toEqual(sent[i]);
      expect(one.conn.stats.messagesOut).toBeGreaterThanOrEqual(echoed.length);
    }
    expect(all.filter(({ conn }) => conn.state === 'open')).toHaveLength(10);
  });

  it('keep what was asked of them while they are at rest', async () => {
    const [strict, drops, plain] = several(3);
    const { host } = strict!;
    strict!.conn.setReadLimit(3);
    const ended = strict!.conn.receive(() => {});
    void drops!.conn.discardReads();
    let got = '';
    void plain!.conn.receive((message) => {
      got += message.text();
    });
    await host.settle();
    for (let i = 0; i < 3; i++) {
      for (const { frame, feed } of [drops!, plain!]) feed(frame(TextMessage, 'hello'));
      strict!.feed(strict!.frame(TextMessage, 'hi'));
      await host.settle();
    }
    expect(got).toBe('hellohellohello');
    expect(drops!.conn.stats.messagesIn).toBe(3);
    expect(drops!.sent()).toEqual([]);
    strict!.feed(strict!.frame(TextMessage, 'hello'));
    await host.settle();
    strict!.transport.break();
    await expect(ended).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT' });
    expect([drops!.conn.state, plain!.conn.state]).toEqual(['open', 'open']);
  });

  it('go on after one of them has failed in its handler, or broken a rule', async () => {
    const [throws, breaks, ...others] = several(4);
    const { host } = throws!;
    throws!.conn
      .receive(() => {
        throw new Error('no');
      })
      .catch(() => {});
    for (const { conn } of [breaks!, ...others])
      conn.receive((message) => conn.send(message)).catch(() => {});
    await host.settle();
    for (let i = 0; i < 3; i++) {
      if (i === 1) throws!.feed(throws!.frame(TextMessage, 'bad'));
      if (i === 1) breaks!.transport.feed('ffff');
      for (const { frame, feed } of others) feed(frame(TextMessage, `message ${i}`));
      await host.settle();
    }
    const expected = ['message 0', 'message 1', 'message 2'];
    expect(others.map(payloads)).toEqual([expected, expected]);
    expect([throws!.conn.state, breaks!.conn.state]).toEqual(['closing', 'closing']);
    const { readings, writings } = kitOf(throws!.conn);
    expect(readings.size).toBeGreaterThan(0);
    expect(writings.size).toBeGreaterThan(0);
  });

  it('never show each other what a handler keeps for too long', async () => {
    const [careless, other] = several(2);
    const { host } = careless!;
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
    await host.settle();
    careless!.feed(careless!.frame(TextMessage, 'mine'));
    await host.settle();
    other!.feed(other!.frame(TextMessage, 'secret'));
    await host.settle();
    expect(seen).toEqual([expect.any(TypeError)]);
  });

  it('leave no more than a few machines behind when all were at work at once', async () => {
    const all = several(300);
    const { host } = all[0]!;
    const done: (() => void)[] = [];
    for (const { conn } of all) void conn.receive(() => new Promise<void>((go) => done.push(go)));
    await host.settle();
    for (const { frame, feed } of all) feed(frame(TextMessage, 'hello'));
    await host.settle();
    expect(done).toHaveLength(300);
    for (const go of done) go();
    await host.settle();
    expect(kitOf(all[0]!.conn).readings.size).toBe(64);
  });

  it('keep a reading side that has part of a frame or of a message', async () => {
    const [one] = several(1);
    const { host, feed, frame, conn } = one!;
    const { readings } = kitOf(conn);
    void conn.receive(() => {});
    await host.settle();
    expect(readings.size).toBe(1);
    const bytes = frame(TextMessage, 'hello');
    feed(bytes.subarray(0, 3));
    await host.settle();
    expect(readings.size).toBe(0);
    feed(bytes.subarray(3));
    await host.settle();
    expect(readings.size).toBe(1);
    feed(frame(TextMessage, 'hello', { fin: false }));
    await host.settle();
    expect(readings.size).toBe(0);
    feed(frame(ContinuationFrame, 'hello'));
    await host.settle();
    expect(readings.size).toBe(1);
    expect(conn.stats.messagesIn).toBe(2);
  });

  it('keep a writing side for as long as the transport is blocked', async () => {
    const [one] = several(1);
    const { host, conn, transport } = one!;
    const { writings } = kitOf(conn);
    transport.block();
    void conn.send('hello');
    await host.settle();
    void conn.send('world');
    await host.settle();
    expect(writings.size).toBe(0);
    expect(conn.bufferedAmount).toBeGreaterThan(0);
    transport.drain();
    await host.settle();
    expect(payloads(one!)).toEqual(['hello', 'world']);
    expect(writings.size).toBe(1);
    expect(conn.bufferedAmount).toBe(0);
  });
});

describe('a connection of which nothing is left to do', () => {
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

  it.each(idle)('keeps no side to write, after $after', async ({ after, act }) => {
    const pool = {
      get: () => {
        throw new Error('the pool is empty');
      },
      put: () => {},
    };
    const settings = after === 'a pool that failed' ? { writeBufferPool: pool } : {};
    const all = several(5, settings);
    const { host, conn } = all[0]!;
    await host.settle();
    const kit = kitOf(conn);
    const taken = vi.spyOn(kit, 'takeWriting');
    const given = vi.spyOn(kit.writings, 'give');
    for (const end of all) await Promise.resolve(act(end)).catch(() => {});
    await host.settle();
    expect(given).toHaveBeenCalledTimes(taken.mock.calls.length);
    for (const { transport } of all) expect(transport.destroyed).toBe(false);
  });

  it('keeps no side to read while it waits for a message as a stream', async () => {
    const all = several(5);
    const { host, conn } = all[0]!;
    await host.settle();
    const readers = all.map((end) => end.conn.nextReader());
    await host.settle();
    expect(kitOf(conn).readings.size).toBe(1);
    // What the others wait for is nothing to this one.
    const other = wired('server', {}, 0, host);
    const whole = other.conn.readMessage();
    other.feed(other.frame(TextMessage, 'whole'));
    expect((await whole).text()).toBe('whole');
    for (const { feed, frame } of all) {
      feed(frame(TextMessage, 'hel', { fin: false }));
      await host.settle();
    }
    const pieces = await Promise.all(readers);
    for (const { feed, frame } of all) feed(frame(ContinuationFrame, 'lo'));
    expect(await Promise.all(pieces.map((reader) => reader.text()))).toEqual(
      all.map(() => 'hello'),
    );
  });
});
