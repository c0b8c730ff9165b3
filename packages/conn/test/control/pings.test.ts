import { randomBytes } from 'node:crypto';
import { nodeDeflate } from '@ws/node-io';
import {
  FakePlatform,
  identityPlatform,
  inWords,
  NO_TAKEOVER,
  naiveDecode,
  naiveEncode,
  TestTransport,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { BinaryMessage, Conn } from '../../src/index.ts';
import { Deferred } from '../../src/time/promises.ts';
import { wired } from '../wired.ts';

describe('the pong of the heartbeat', () => {
  it('resolves the pings before it, which a busy peer need not answer', async () => {
    const heartbeat = { interval: 1_000, timeout: 10_000 };
    const { conn, platform, feed, frame, deliver, output } = wired('server', { heartbeat });
    const older = conn.ping('older');
    await platform.advance(1_100);
    let younger = NaN;
    void conn.ping('younger').then((ms) => {
      younger = ms;
    });
    expect(await output()).toHaveLength(3);
    feed(frame(10, Uint8Array.of(0, 0, 0, 1)));
    expect(await older).toBeGreaterThanOrEqual(1_000);
    expect(conn.stats.rtt).toBeLessThan(1_000);
    expect(younger).toBeNaN();
    await deliver(frame(10, 'younger'));
    expect(younger).toBe(0);
    conn.terminate();
    await conn.closed;
    expect(platform.timers).toBe(0);
  });
});

describe('a ping of a compressed connection', () => {
  it('rejects at the end, although input before its pong is unread', async () => {
    const platform = identityPlatform();
    const transport = new TestTransport();
    const conn = new Conn(transport, {
      role: 'server',
      platform,
      deflate: NO_TAKEOVER,
      readAhead: 100,
    });
    const answer = conn.ping(undefined, { timeout: false });
    await platform.settle();
    const message = naiveEncode(2, new Uint8Array(500), { mask: 1 });
    for (let i = 0; i < 3; i++) transport.feedLate(message);
    await platform.settle();
    transport.break(new Error('reset'));
    await platform.settle();
    await expect(answer).rejects.toMatchObject({ message: 'websocket: reset' });
    expect((await conn.readMessage()).data).toHaveLength(500);
  });
});

/** Takes one write at a time. */
class SlowTransport extends TestTransport {
  override write(chunk: Uint8Array, release?: () => void): boolean {
    this.block();
    return super.write(chunk, release);
  }
}

describe('a ping of the heartbeat', () => {
  it('waits for a compressed message that stays open for its timeout at most', async () => {
    const { conn, platform } = wired(
      'server',
      {
        deflate: NO_TAKEOVER,
        compression: 'shared',
        heartbeat: { interval: 1_000, timeout: 2_000 },
      },
      0,
      Object.assign(new FakePlatform(), { deflate: nodeDeflate }),
    );
    const writer = await conn.nextWriter(BinaryMessage, { compress: true });
    await writer.write(randomBytes(10_000));
    const pings: number[] = [];
    for (const ms of [1_500, 1_000, 1_000]) {
      await platform.advance(ms);
      pings.push(conn.stats.pingsOut);
    }
    expect(pings).toEqual([0, 0, 1]);
    conn.terminate();
  });

  it('waits for the last frame of a compressed message, also on a slow transport', async () => {
    const platform = Object.assign(new FakePlatform(), { deflate: nodeDeflate });
    const transport = new SlowTransport({ highWaterMark: 0 });
    const conn = new Conn(transport, {
      role: 'server',
      platform,
      deflate: NO_TAKEOVER,
      compression: 'shared',
      heartbeat: { interval: 40, timeout: 5_000 },
    });
    await platform.settle();
    void conn.send('in the way');
    await platform.settle();
    const writer = await conn.nextWriter(BinaryMessage, { compress: true });
    for (let i = 0; i < 40; i++) void writer.write(randomBytes(5_000));
    void writer.close();
    transport.drain();
    await platform.settle();
    await platform.advance(90);
    for (let i = 0; i < 100; i++) {
      transport.drain();
      await platform.settle();
    }
    const words = naiveDecode(transport.sent, 'client', { allowedRsv: 0x40 }).frames.map(inWords);
    const kinds = words.map((frame) => frame.split(/[. ]/)[0]);
    expect(kinds).toEqual([
      'text',
      'binary',
      ...Array.from({ length: kinds.length - 3 }, () => kinds[2]),
      'ping',
    ]);
    expect(kinds.length).toBeGreaterThan(6);
    conn.terminate();
  });
});

describe('Conn.ping in a handler', () => {
  /** A handler that awaits `ping()`, with `unread` KiB between its message and the pong. */
  async function pingBehind(unread: number) {
    const { conn, platform, feed, frame, deliver } = wired('server');
    let answer: Promise<number> | undefined;
    const received = conn.receive(async () => {
      answer ??= conn.ping('it', { timeout: 1_000 });
      await answer.catch(() => {});
    });
    received.catch(() => {});
    const kilobyte = frame(2, new Uint8Array(1_024));
    for (let i = 0; i <= unread; i++) feed(kilobyte);
    await deliver(frame(10, 'it'));
    const outcome = answer!.catch((error: Error) => error.message);
    await platform.advance(2_000);
    return { outcome: await outcome, conn };
  }

  it('gets its pong behind more messages than the read-ahead holds', async () => {
    for (const unread of [10, 64, 100, 500]) {
      const { outcome, conn } = await pingBehind(unread);
      expect(outcome).toBe(0);
      expect(conn.stats.messagesIn).toBe(unread + 1);
      conn.terminate();
    }
  });

  it('is not read for without a bound', async () => {
    const { outcome, conn } = await pingBehind(2_000);
    expect(outcome).toContain('no pong within 1000 ms');
    conn.terminate();
  });

  it('leaves the bound of the read-ahead as it was, after its pong', async () => {
    const { conn, platform, transport, feed, frame, deliver } = wired('server');
    const stuck = new Deferred<void>();
    let rtt: number | undefined;
    conn
      .receive(async () => {
        rtt = await conn.ping('it');
        await stuck.promise;
      })
      .catch(() => {});
    const kilobyte = frame(2, new Uint8Array(1_024));
    for (let i = 0; i < 200; i++) feed(kilobyte);
    await platform.settle();
    expect(transport.paused).toBe(false);
    await deliver(frame(10, 'it'));
    expect(rtt).toBe(0);
    await deliver(kilobyte);
    expect(transport.paused).toBe(true);
    stuck.resolve();
  });
});
