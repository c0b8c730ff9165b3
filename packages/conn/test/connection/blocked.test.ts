import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type ConnSettings, connPair, type Observer } from '../../src/index.ts';
import { wired } from '../wired.ts';

/** Two ends that write without reading, until both have to wait. */
function bothWrite(observer: Observer, settings: ConnSettings = {}) {
  const platform = Object.assign(new FakePlatform(), { observer });
  const ends = connPair({ platform, heartbeat: false, ...settings });
  for (const end of ends) for (let i = 0; i < 10; i++) void end.send(new Uint8Array(100_000));
  return { platform, ends };
}

describe('two ends that wait for each other', () => {
  it('are named to the observer after 5 s, once', async () => {
    const seen: { conn: object; bytes: number; ms: number }[] = [];
    const { platform, ends } = bothWrite({
      blocked: (conn, bytes, ms) => void seen.push({ conn, bytes, ms }),
    });
    await platform.advance(4_900);
    expect(seen).toEqual([]);
    await platform.advance(60_000);
    expect(seen.map(({ conn }) => conn)).toEqual(ends);
    for (const { bytes, ms } of seen) {
      expect(bytes).toBeGreaterThan(800_000);
      expect(ms).toBeGreaterThanOrEqual(5_000);
    }
  });

  it('are named 5 s after the last byte that the system took, without a drain', async () => {
    const seen: [bytes: number, ms: number][] = [];
    const observer: Observer = { blocked: (_, bytes, ms) => void seen.push([bytes, ms]) };
    const platform = Object.assign(new FakePlatform(), { observer });
    const { conn, feed, frame, transport } = wired('server', { readAhead: 1 }, 0, platform);
    await platform.settle();
    transport.block();
    void conn.send(new Uint8Array(100_000));
    feed(frame(1, 'in'), frame(1, 'in'));
    await platform.advance(4_000);
    // The system takes a part, and the transport stays above its high-water mark.
    const { bufferedAmount } = transport;
    Object.defineProperty(transport, 'bufferedAmount', { get: () => bufferedAmount - 1_000 });
    await platform.advance(5_500);
    expect(seen).toEqual([]);
    await platform.advance(5_000);
    expect(seen).toEqual([[expect.any(Number), expect.any(Number)]]);
    expect(seen[0]![1]).toBeGreaterThanOrEqual(5_000);
    expect(seen[0]![1]).toBeLessThan(5_500);
    conn.terminate();
  });

  it('end with an error that says what to do', async () => {
    const { platform, ends } = bothWrite({}, { idleReadTimeout: 10_000 });
    await platform.advance(10_200);
    const { error } = await ends[0].closed;
    expect((error as Error).message).toMatch(
      /^websocket: no read for 10000 ms while \d+ bytes of writes wait; .* read while you write \(option idleReadTimeout\)$/,
    );
  });

  it('are not named when one of them reads', async () => {
    const seen: object[] = [];
    const { platform, ends } = bothWrite({ blocked: (conn) => void seen.push(conn) });
    void ends[0].discardReads();
    await platform.advance(60_000);
    expect(seen).toEqual([]);
  });

  it('set no timer without an observer', async () => {
    const { platform } = bothWrite({}, { idleReadTimeout: false });
    await platform.advance(1_000);
    expect(platform.timers).toBe(0);
  });
});
