import { describe, expect, it } from 'vitest';
import { PongMessage } from '../src/index.ts';
import { wired } from './wired.ts';

describe('the pong of the heartbeat', () => {
  it('settles the pings before it, which a busy peer need not answer', async () => {
    const heartbeat = { interval: 1_000, timeout: 10_000 };
    const { conn, host, feed, frame, sent } = wired('server', { heartbeat });
    const older = conn.ping('older');
    await host.advance(1_100);
    let younger = NaN;
    void conn.ping('younger').then((ms) => {
      younger = ms;
    });
    await host.settle();
    expect(sent()).toHaveLength(3);
    feed(frame(10, Uint8Array.of(0, 0, 0, 1)));
    expect(await older).toBeGreaterThanOrEqual(1_000);
    expect(conn.stats.rtt).toBeLessThan(1_000);
    expect(younger).toBeNaN();
    feed(frame(10, 'younger'));
    await host.settle();
    expect(younger).toBe(0);
    conn.terminate();
    await conn.closed;
    expect(host.timers).toBe(0);
  });
});

describe('the answer to a ping', () => {
  it('is not lost by a pong that nobody asked for, while the transport is blocked', async () => {
    const { conn, host, feed, frame, sent, transport } = wired('server');
    transport.block();
    void conn.send('in the way');
    await host.settle();
    feed(frame(9, 'first'), frame(9, 'second'));
    await host.settle();
    for (const payload of ['unasked', 'again']) void conn.writeControl(PongMessage, payload);
    await host.settle();
    transport.drain();
    await host.settle();
    expect(sent()).toEqual(['text in the way', 'pong second', 'pong again']);
  });
});
