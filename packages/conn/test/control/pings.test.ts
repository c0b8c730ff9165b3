import { randomBytes } from 'node:crypto';
import { FakePlatform, inWords, naiveDecode, naiveEncode, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Pings } from '../../src/control/pings.ts';
import { BackpressureError, BinaryMessage, Conn, PongMessage } from '../../src/index.ts';
import { pureDeflate } from '../../src/pure-deflate/index.ts';
import { Deferred } from '../../src/time/promises.ts';
import { rejectedLater } from '../../src/time/refusal.ts';
import { identityPlatform, NO_TAKEOVER } from '../deflate/inflating-platform.ts';
import { wired } from '../wired.ts';

/** Pings whose frames are dropped, and the result of each. */
function pingsOf(most = 10) {
  const platform = new FakePlatform();
  const pings = new Pings(platform, most, (error) => rejectedLater(platform, error));
  const seen: string[] = [];
  const ping = (name: string, timeout = Infinity): Promise<number> => {
    const answer = pings.add(Buffer.from(name), timeout, () => Promise.resolve());
    answer.then(
      (ms) => seen.push(`${name}: ${ms}`),
      (error: Error) => seen.push(`${name}: ${error.name} ${error.message}`),
    );
    return answer;
  };
  const pong = (payload: string | Uint8Array): Promise<void> => {
    const bytes = Buffer.concat([Buffer.from('<<'), Buffer.from(payload), Buffer.from('>')]);
    pings.pong(bytes, 2, bytes.length - 1);
    return platform.settle();
  };
  return { platform, pings, seen, ping, pong };
}

describe('Pings', () => {
  it('resolve at the pong with the same bytes, and older ones with them', async () => {
    const { platform, pings, seen, ping, pong } = pingsOf();
    for (const name of ['ab', 'ac', 'abc']) {
      void ping(name, 1_000);
      await platform.advance(10);
    }
    expect(pings.rtt).toBeNaN();
    for (const stray of ['a', 'ax', 'abcd', '']) await pong(stray);
    expect(seen).toEqual([]);
    await pong('ac');
    expect(seen).toEqual(['ab: 30', 'ac: 20']);
    expect([pings.rtt, platform.timers]).toEqual([20, 1]);
    await pong('abc');
    expect(seen.slice(2)).toEqual(['abc: 10']);
    expect([pings.rtt, platform.timers]).toEqual([10, 0]);
  });

  it('have distinct payloads', () => {
    const { pings } = pingsOf();
    const payloads = Array.from({ length: 0x10203 }, () => pings.nextPayload());
    expect(payloads[0]).toEqual(Uint8Array.of(0, 0, 0, 1));
    expect(payloads[0xff]).toEqual(Uint8Array.of(0, 0, 1, 0));
    expect(payloads.at(-1)).toEqual(Uint8Array.of(0, 1, 2, 3));
  });

  it('are limited in number, without answered and cancelled ones', async () => {
    const { seen, ping, pong } = pingsOf(2);
    void ping('a');
    void ping('b');
    await expect(ping('c')).rejects.toBeInstanceOf(BackpressureError);
    await pong('a');
    void ping('d');
    await expect(ping('e')).rejects.toThrow('2 pings are unanswered (option maxPendingPings)');
    expect(seen[1]).toBe('a: 0');
  });

  it('time out separately', async () => {
    const { platform, seen, ping, pong } = pingsOf();
    void ping('long', 90);
    void ping('short', 50);
    void ping('for ever');
    await platform.advance(89);
    expect(seen).toEqual([
      'short: TimeoutError websocket: no pong within 50 ms (option timeout of ping)',
    ]);
    await platform.advance(1);
    expect(seen.slice(1)).toEqual([
      'long: TimeoutError websocket: no pong within 90 ms (option timeout of ping)',
    ]);
    expect(platform.timers).toBe(0);
    await pong('for ever');
    expect(seen.slice(2)).toEqual(['for ever: 90']);
  });

  it('can be cancelled until they settle', async () => {
    const { platform, pings, seen, ping, pong } = pingsOf();
    const [first, second] = [ping('a', 100), ping('b', 100)];
    expect(pings.giveUp(second, new Error('enough'))).toBe(true);
    await platform.settle();
    expect(seen).toEqual(['b: Error enough']);
    expect(pings.giveUp(second, new Error('again'))).toBe(false);
    await pong('a');
    expect(await first).toBe(0);
    expect(platform.timers).toBe(0);
  });

  it('reject when they cannot be sent, and the others keep waiting', async () => {
    const { platform, pings, seen, ping, pong } = pingsOf();
    void ping('a', 100);
    const unsent = pings.add(Buffer.from('b'), 100, () => Promise.reject(new Error('no room')));
    await expect(unsent).rejects.toThrow('no room');
    await pong('a');
    expect(seen).toEqual(['a: 0']);
    expect(platform.timers).toBe(0);
  });

  it('leave the others waiting when an answered one cannot be sent', async () => {
    const { platform, pings, seen, ping, pong } = pingsOf();
    const sent = new Deferred<void>();
    const first = pings.add(Buffer.from('a'), 100, () => sent.promise);
    void ping('b');
    await pong('a');
    sent.reject(new Error('too late'));
    await platform.settle();
    expect([await first, seen]).toEqual([0, []]);
    await pong('b');
    expect(seen).toEqual(['b: 0']);
  });

  it('reject with the first reason when no pong can arrive any more', async () => {
    const { platform, pings, seen, ping } = pingsOf();
    void ping('a', 100);
    void ping('b');
    pings.end(new Error('gone'));
    pings.end(new Error('later'));
    await platform.settle();
    expect(seen).toEqual(['a: Error gone', 'b: Error gone']);
    expect(platform.timers).toBe(0);
    await expect(ping('c')).rejects.toThrow('gone');
  });

  it('of the heartbeat repeat one payload until it is answered, and measure from the first', async () => {
    const { platform, pings, pong } = pingsOf();
    const first = pings.heartbeatPayload();
    await platform.advance(30);
    expect(pings.heartbeatPayload()).toBe(first);
    await platform.advance(10);
    await pong(first);
    expect(pings.rtt).toBe(40);
    expect(pings.heartbeatPayload()).not.toEqual(first);
  });

  it('resolve with a later heartbeat ping, and not with an earlier one', async () => {
    const { platform, pings, seen, ping, pong } = pingsOf();
    void ping('before');
    await platform.advance(5);
    const beat = pings.heartbeatPayload();
    void ping('in the same moment');
    await platform.advance(5);
    void ping('after');
    await pong(beat);
    expect(seen).toEqual(['before: 10']);
    expect(pings.rtt).toBe(5);
    await pong('after');
    expect(seen.slice(1)).toEqual(['in the same moment: 5', 'after: 0']);
  });

  it('after the heartbeat’s wait when it is answered', async () => {
    const { platform, pings, seen, ping, pong } = pingsOf();
    const beat = pings.heartbeatPayload();
    await platform.advance(5);
    void ping('after');
    await pong(beat);
    expect(seen).toEqual([]);
  });

  it('before the heartbeat’s all resolve with it when none followed', async () => {
    const { platform, pings, seen, ping, pong } = pingsOf();
    void ping('a');
    void ping('b');
    await platform.advance(5);
    await pong(pings.heartbeatPayload());
    expect(seen).toEqual(['a: 5', 'b: 5']);
    expect(pings.rtt).toBe(0);
  });
});

describe('the pong of the heartbeat', () => {
  it('resolves the pings before it, which a busy peer need not answer', async () => {
    const heartbeat = { interval: 1_000, timeout: 10_000 };
    const { conn, platform, feed, frame, sent } = wired('server', { heartbeat });
    const older = conn.ping('older');
    await platform.advance(1_100);
    let younger = NaN;
    void conn.ping('younger').then((ms) => {
      younger = ms;
    });
    await platform.settle();
    expect(sent()).toHaveLength(3);
    feed(frame(10, Uint8Array.of(0, 0, 0, 1)));
    expect(await older).toBeGreaterThanOrEqual(1_000);
    expect(conn.stats.rtt).toBeLessThan(1_000);
    expect(younger).toBeNaN();
    feed(frame(10, 'younger'));
    await platform.settle();
    expect(younger).toBe(0);
    conn.terminate();
    await conn.closed;
    expect(platform.timers).toBe(0);
  });
});

describe('the answer to a ping', () => {
  it('is not lost to an unsolicited pong while the transport is blocked', async () => {
    const { conn, platform, feed, frame, sent, transport } = wired('server');
    transport.block();
    void conn.send('in the way');
    await platform.settle();
    feed(frame(9, 'first'), frame(9, 'second'));
    await platform.settle();
    for (const payload of ['unasked', 'again']) void conn.writeControl(PongMessage, payload);
    await platform.settle();
    transport.drain();
    await platform.settle();
    expect(sent()).toEqual(['text in the way', 'pong second', 'pong again']);
  });
});

describe('a ping that waits for a blocked transport', () => {
  it('is not lost to pongs that wait too', async () => {
    const { conn, platform, sent, transport } = wired('server');
    transport.block();
    void conn.send('in the way');
    await platform.settle();
    void conn.ping('ping');
    for (const payload of ['unasked', 'again']) void conn.writeControl(PongMessage, payload);
    await platform.settle();
    transport.drain();
    await platform.settle();
    expect(sent()).toEqual(['text in the way', 'ping ping', 'pong again']);
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
  it('waits for the last frame of a compressed message, also on a slow transport', async () => {
    const platform = Object.assign(new FakePlatform(), { deflate: pureDeflate });
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
    const { conn, platform, frame, feed } = wired('server');
    let answer: Promise<number> | undefined;
    const received = conn.receive(async () => {
      answer ??= conn.ping('it', { timeout: 1_000 });
      await answer.catch(() => {});
    });
    received.catch(() => {});
    const kilobyte = frame(2, new Uint8Array(1_024));
    for (let i = 0; i <= unread; i++) feed(kilobyte);
    feed(frame(10, 'it'));
    await platform.settle();
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
    const { conn, platform, transport, frame, feed } = wired('server');
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
    feed(frame(10, 'it'));
    await platform.settle();
    expect(rtt).toBe(0);
    feed(kilobyte);
    await platform.settle();
    expect(transport.paused).toBe(true);
    stuck.resolve();
    conn.terminate();
  });
});
