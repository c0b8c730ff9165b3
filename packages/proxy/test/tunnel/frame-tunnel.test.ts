import { once } from 'node:events';
import type { Socket } from 'node:net';
import { nothingLeft, type RawPeer, turn } from '@ws/tests';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ProxyOptions } from '../../src/index.ts';
import { front, openPair, pair, rawTarget, stopClock } from '../support.ts';

const KIB = 1024;
const TIMERS = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] as const;

describe('the end of a pair, mode frames', () => {
  nothingLeft();

  it.each([
    { who: 'target', code: 1014, size: 30 * KIB },
    { who: 'client', code: 1001, size: 5 },
  ] as const)(
    'is $code after a $who that is killed inside a frame',
    async ({ who, code, size }) => {
      const { from, proxied } = await pair();
      const [killed, other] = from(who);
      await killed.send(1, 'whole');
      await killed.write(killed.encode(2, Buffer.alloc(60 * KIB)).subarray(0, size));
      expect(await other.sees(1)).toEqual(['text whole']);
      killed.reset();
      expect(await other.sees(2)).toEqual(['text whole', `close ${code}`]);
      await other.finish();
      expect(await proxied.closed).toMatchObject({ endedBy: who, code });
    },
  );

  it.each(['client', 'target'] as const)(
    'is the same for a %s that sends a FIN without a close frame',
    async (who) => {
      const { from, proxied } = await pair();
      const [ending, other] = from(who);
      ending.end();
      expect(await other.sees(1)).toEqual([who === 'client' ? 'close 1001' : 'close 1014']);
      await other.finish();
      expect(await proxied.closed).toMatchObject({ endedBy: who });
    },
  );

  it('comes at once when a client is killed after its close frame and a stop of the target', async () => {
    const backend = await rawTarget();
    const between = await front(backend.url);
    const upgraded = once(between.server, 'upgrade') as Promise<[unknown, Socket]>;
    const { client, target, proxied } = await openPair(between, backend);
    const [, socket] = await upgraded;
    client.stream.pause();
    // More than the system's buffers take: the proxy stops the target.
    target.stream.write(target.encode(2, Buffer.alloc(32 * 1024 * KIB)));
    await expect.poll(() => socket.writableNeedDrain).toBe(true);
    await client.close(1000);
    expect(await target.sees(1)).toEqual(['close 1000']);
    // No close timeout passes.
    stopClock();
    client.reset();
    target.end();
    expect(await proxied.closed).toMatchObject({ endedBy: 'client', code: 1000 });
  });

  it('has no frame when both are killed at once', async () => {
    const { client, target, proxied, front } = await pair();
    client.reset();
    target.reset();
    expect(await proxied.closed).toMatchObject({ status: 101 });
    expect(front.proxy.proxied.size).toBe(0);
  });

  it('is 1006 after terminate: no peer got a close frame', async () => {
    const { client, target, proxied, finish } = await pair();
    proxied.terminate();
    await finish();
    expect([client.frames, target.frames]).toEqual([[], []]);
    expect(await proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1006, reason: '' });
  });

  it('is the peers own close, with code and reason', async () => {
    const { client, target, proxied } = await pair();
    await client.close(4001, 'done');
    expect(await target.sees(1)).toEqual(['close 4001 done']);
    await target.close(4001, 'done');
    target.end();
    expect(await client.sees(1)).toEqual(['close 4001 done']);
    await client.finish();
    expect(await proxied.closed).toMatchObject({ endedBy: 'client', code: 4001, reason: 'done' });
  });

  it('comes 5 s after the close frames of peers that do not end their sockets', async () => {
    const { client, target, proxied, finish } = await pair();
    stopClock();
    await client.close(4001);
    expect(await target.sees(1)).toEqual(['close 4001']);
    await target.close(4001);
    expect(await client.sees(1)).toEqual(['close 4001']);
    vi.advanceTimersByTime(4_900);
    expect([client.ended, target.ended]).toEqual([false, false]);
    vi.advanceTimersByTime(200);
    await finish();
    expect(await proxied.closed).toMatchObject({ endedBy: 'client', code: 4001 });
  });

  it('has no frame of the proxy after the close frame of a peer', async () => {
    const { client, target, proxied, front, finish } = await pair();
    await client.close(4001);
    expect(await target.sees(1)).toEqual(['close 4001']);
    const closing = front.proxy.close({ timeout: 60_000 });
    expect(await client.sees(1)).toEqual(['close 1001']);
    await target.close(4001);
    await finish();
    await closing;
    expect(target.frames).toHaveLength(1);
    expect(await proxied.closed).toMatchObject({ code: 4001 });
  });

  it('is 1001 for both at proxy.close, then each side may answer', async () => {
    const { client, target, proxied, front, finish } = await pair();
    const closing = front.proxy.close({ timeout: 60_000 });
    expect(await client.sees(1)).toEqual(['close 1001']);
    expect(await target.sees(1)).toEqual(['close 1001']);
    await client.close(1001);
    await target.close(1001);
    await finish();
    await closing;
    expect(await proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1001 });
  });

  it('waits at proxy.close for the end of a large frame', async () => {
    const { client, target, proxied, front, finish } = await pair();
    const frame = target.encode(2, Buffer.alloc(100 * KIB));
    await target.write(frame.subarray(0, 95 * KIB));
    await client.until(() => proxied.stats.out.bytes === 95 * KIB);
    const closing = front.proxy.close({ timeout: 60_000, code: 1012 });
    expect(await target.sees(1)).toEqual(['close 1012']);
    await target.write(frame.subarray(95 * KIB), target.encode(1, 'dropped'));
    expect(await client.sees(2)).toEqual([`binary <${100 * KIB}>`, 'close 1012']);
    await Promise.all([client.close(1012), target.close(1012)]);
    await finish();
    await closing;
    expect(client.frames).toHaveLength(2);
  });

  it('is 1009 for a message over maxMessageSize, also in fragments', async () => {
    const { client, target, proxied, finish } = await pair({ maxMessageSize: 10 });
    await client.send(1, '0123456789');
    await client.send(2, '012345', false);
    await client.send(0, '67890');
    expect(await client.sees(1)).toEqual(['close 1009']);
    expect(await target.sees(3)).toEqual(['text 0123456789', 'binary... 012345', 'close 1001']);
    await finish();
    expect(await proxied.closed).toMatchObject({ endedBy: 'proxy' });
  });

  it.each([
    { who: 'client', code: 1001 },
    { who: 'target', code: 1014 },
  ] as const)(
    'is 1009 for a $who over maxMessageSize, after the frame that goes to it',
    async ({ who, code }) => {
      const { from, proxied, finish } = await pair({ maxMessageSize: 200 * KIB });
      const [sender, other] = from(who);
      const frame = other.encode(2, Buffer.alloc(200 * KIB, 7), false);
      await other.write(frame.subarray(0, 100 * KIB));
      await expect.poll(() => proxied.stats[who === 'client' ? 'out' : 'in'].bytes).toBe(100 * KIB);
      await sender.write(sender.encode(2, Buffer.alloc(300 * KIB)).subarray(0, 150 * KIB));
      expect(await other.sees(1)).toEqual([`close ${code}`]);
      expect([sender.frames, other.ended]).toEqual([[], false]);
      await other.write(frame.subarray(100 * KIB), other.encode(1, 'dropped'));
      expect(await sender.sees(2)).toEqual([`binary... <${200 * KIB}>`, 'close 1009']);
      await finish();
      expect(await proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1009 });
      expect([sender.frames.length, other.frames.length]).toEqual([2, 1]);
    },
  );

  it('is 1009 and 1001 when both send more than maxMessageSize at once', async () => {
    const { client, target, proxied, finish } = await pair({ maxMessageSize: 100 * KIB });
    for (const peer of [client, target]) {
      await peer.write(peer.encode(2, Buffer.alloc(100 * KIB), false).subarray(0, 90 * KIB));
    }
    await expect.poll(() => proxied.stats.in.bytes + proxied.stats.out.bytes).toBe(180 * KIB);
    for (const peer of [client, target]) {
      const rest = peer.encode(2, Buffer.alloc(100 * KIB), false).subarray(90 * KIB);
      await peer.write(rest, peer.encode(0, 'x'));
    }
    const seen = await Promise.all([client.sees(2), target.sees(2)]);
    expect(seen.map((frames) => frames[0])).toEqual(Array(2).fill(`binary... <${100 * KIB}>`));
    expect([
      ['close 1009', 'close 1001'],
      ['close 1014', 'close 1009'],
    ]).toContainEqual(seen.map((frames) => frames[1]));
    await finish();
    expect(await proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1009 });
  });

  it('comes without the rest of a frame that stops while 1009 waits for its end', async () => {
    const { client, target, proxied } = await pair({ maxMessageSize: 200 * KIB });
    await target.write(target.encode(2, Buffer.alloc(200 * KIB)).subarray(0, 100 * KIB));
    await client.until(() => proxied.stats.out.bytes === 100 * KIB);
    stopClock();
    await client.write(client.encode(2, Buffer.alloc(300 * KIB)).subarray(0, 150 * KIB));
    expect(await target.sees(1)).toEqual(['close 1001']);
    vi.advanceTimersByTime(10_000);
    await client.untilEnd();
    expect(client.frames).toEqual([]);
    expect(await proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1009 });
  });

  it('is 1009 for a malformed length with maxMessageSize, which some peers accept', async () => {
    const { client, target, proxied, finish } = await pair({ maxMessageSize: 1_024 });
    // Two bytes, whose length is written in the form for 126 bytes and more.
    await client.write(Buffer.from([0x81, 0xfe, 0, 2, 0, 0, 0, 0, 0x68, 0x69]));
    expect(await client.sees(1)).toEqual(['close 1009']);
    expect(await target.sees(1)).toEqual(['close 1001']);
    await finish();
    expect(await proxied.closed).toMatchObject({ endedBy: 'proxy' });
  });

  describe('in 5 s, whatever a peer sends within a frame', () => {
    /** The start of a frame of 2^40 bytes. */
    const start = Buffer.from('82ff0000010000000000000000006869', 'hex');
    const startOfTarget = Buffer.from('827f00000100000000006869', 'hex');

    async function opened(options: ProxyOptions) {
      vi.useFakeTimers({ toFake: [...TIMERS, 'performance'] });
      onTestFinished(() => void vi.useRealTimers());
      return pair({ heartbeat: false, ...options });
    }
    const trickles = async (peer: RawPeer): Promise<void> => {
      for (let second = 0; second < 5; second++) {
        await peer.write('x').catch(() => {});
        vi.advanceTimersByTime(1_000);
        for (let i = 0; i < 5; i++) await turn();
      }
    };

    it('comes after idleTimeout', async () => {
      const { client, target, proxied } = await opened({ idleTimeout: 10_000 });
      await client.write(start);
      await target.until(() => proxied.stats.in.bytes > 0);
      for (let i = 0; i < 12; i++) vi.advanceTimersByTime(1_000);
      await trickles(client);
      // Both sockets of the proxy are closed then.
      expect(await proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1001 });
      client.destroy();
      target.destroy();
    });

    it('comes after a message over maxMessageSize of the other', async () => {
      const { client, target, proxied } = await opened({ maxMessageSize: 2 ** 41 });
      await target.write(startOfTarget);
      await client.until(() => proxied.stats.out.bytes > 0);
      const tooLarge = Buffer.from(start);
      tooLarge.writeUInt32BE(2 ** 16, 2);
      await client.write(tooLarge);
      await target.until(() => proxied.stats.in.bytes > 0);
      await trickles(target);
      // Both sockets of the proxy are closed then.
      expect(await proxied.closed).toMatchObject({ endedBy: 'proxy' });
      client.destroy();
      target.destroy();
    });
  });

  it('is 1001 for both after idleTimeout', async () => {
    const { client, target, proxied, finish } = await pair({ idleTimeout: 40 });
    expect(await client.sees(1)).toEqual(['close 1001']);
    expect(await target.sees(1)).toEqual(['close 1001']);
    await Promise.all([client.close(1001), target.close(1001)]);
    await finish();
    expect(await proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1001 });
  });
});

describe('frames on their way, mode frames', () => {
  nothingLeft();

  it('stay the same in every cut', async () => {
    const { client, target, proxied } = await pair();
    const sent = Buffer.concat([
      client.encode(1, 'a'),
      client.encode(9, 'ping'),
      client.encode(2, Buffer.alloc(300, 7), false),
      client.encode(10, 'pong'),
      client.encode(0, Buffer.alloc(70_000, 8)),
      client.encode(8, Buffer.from([3, 232])),
    ]);
    for (let at = 0; at < 800; at++) await client.write(sent.subarray(at, at + 1));
    await client.write(sent.subarray(800));
    expect(await target.sees(6)).toEqual([
      'text a',
      'ping ping',
      'binary... <300>',
      'pong pong',
      'cont <70000>',
      'close 1000',
    ]);
    expect(Buffer.concat(target.frames.map(({ payload }) => payload)).length).toBe(70_311);
    expect(proxied.stats.in).toEqual({ bytes: sent.length, frames: 6, messages: 2 });
  });

  it('pass when they break the rules: the target judges them', async () => {
    const { client, target } = await pair();
    const bad = Buffer.from('f38000000000c10161ff', 'hex');
    await client.write(bad);
    await target.until((peer) => peer.over || peer.ended).catch(() => {});
    expect(target.frames).toEqual([]);
    client.destroy();
  });

  it('pass from their header on when their source is quiet: the target judges it', async () => {
    // The proxy looks after stalled frames each 10 ms then.
    const { client, target } = await pair({ heartbeat: { interval: 60_000, timeout: 40 } });
    let passed = Buffer.alloc(0);
    target.stream.on('data', (chunk: Buffer) => {
      passed = Buffer.concat([passed, chunk]);
    });
    const header = Buffer.from('89fe007e01020304', 'hex');
    await client.write(header);
    await target.until(() => passed.length > 0).catch(() => {});
    expect(passed).toEqual(header);
    client.destroy();
  });

  it('pass unread after a length of 2^53 or more', async () => {
    const { client, target } = await pair();
    const frame = Buffer.from('82ffffffffffffffffff0000000041', 'hex');
    await client.write(frame);
    await expect(target.frame()).rejects.toThrow('invalid frame');
  });

  it('have pings of the proxy between them, whose pongs stay there', async () => {
    const { client, target } = await pair({ heartbeat: { interval: 30, timeout: 60_000 } });
    const ping = await client.frame();
    expect(ping.opcode).toBe(9);
    await client.write(client.encode(10, ping.payload), client.encode(1, 'after'));
    await target.until((peer) => peer.frames.some(({ opcode }) => opcode === 1));
    expect(target.frames.map(({ opcode }) => opcode).filter((opcode) => opcode !== 9)).toEqual([1]);
  });

  it('end when a ping of the proxy has no answer', async () => {
    const { client, target } = await pair({ heartbeat: { interval: 20, timeout: 500 } });
    const answer = async (): Promise<void> => {
      for (let i = 0; ; i++) {
        const frame = await client.frame(i);
        if (frame.opcode === 9) await client.write(client.encode(10, frame.payload));
        else return;
      }
    };
    await answer();
    expect(client.frames.at(-1)).toMatchObject({ opcode: 8, payload: Buffer.from([3, 246]) });
    await client.finish();
    target.destroy();
  });
});
