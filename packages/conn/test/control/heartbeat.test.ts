import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { Connection } from '../../src/connection/connection.ts';
import { HeartbeatMonitor } from '../../src/control/heartbeat.ts';
import { schedulerOf } from '../../src/scheduler/scheduler.ts';

/** A target and what has been done to it, with the times. */
function patientOf(option: { interval: number; timeout: number }) {
  const platform = new FakePlatform();
  const heartbeat = new HeartbeatMonitor(schedulerOf(platform).timers, option);
  const seen: string[] = [];
  let rings = 0;
  const target = {
    slot: undefined,
    heardAt: 0,
    pingedAt: undefined,
    pingWait: undefined,
    paused: false,
    bytesOut: 0,
    bytesFlushed: 0,
    inTransit: 0,
    stalledSince: (now: number) => now,
    holdsHeartbeat: false,
    fire() {
      rings++;
      heartbeat.fire(connection, platform.now());
    },
    get transport() {
      return { inTransit: target.inTransit };
    },
    get sendQueue() {
      return { bytesFlushed: target.bytesFlushed, stalledSince: target.stalledSince };
    },
    get writer() {
      return { streamsEncoded: target.holdsHeartbeat };
    },
    controlFrames: { sendHeartbeat: () => void seen.push(`ping at ${platform.now()}`) },
    abort({ message }: Error) {
      const [ms] = /\d+/.exec(message)!;
      seen.push(`dead at ${platform.now()} after ${ms}`);
    },
  };
  const connection = target as unknown as Connection;
  heartbeat.start(connection);
  return { platform, target, seen, rings: () => rings };
}

describe('HeartbeatMonitor', () => {
  it('pings after an interval of silence, and expires a timeout later', async () => {
    const { platform, seen } = patientOf({ interval: 100, timeout: 50 });
    await platform.advance(99);
    expect(seen).toEqual([]);
    await platform.advance(1_000);
    expect(seen).toEqual(['ping at 100', 'dead at 150 after 150']);
    expect(platform.timers).toBe(0);
  });

  it('counts the interval from the last bytes', async () => {
    const { platform, target, seen } = patientOf({ interval: 100, timeout: 50 });
    await platform.advance(60);
    target.heardAt = 60;
    await platform.advance(99);
    expect(seen).toEqual([]);
    await platform.advance(1);
    expect(seen).toEqual(['ping at 160']);
  });

  it('accepts any later bytes as an answer', async () => {
    const { platform, target, seen } = patientOf({ interval: 100, timeout: 50 });
    await platform.advance(100);
    target.heardAt = 100;
    await platform.advance(99);
    expect(target.pingedAt).toBeUndefined();
    await platform.advance(51);
    expect(seen).toEqual(['ping at 100', 'ping at 200', 'dead at 250 after 150']);
  });

  it('pings once, even if the timeout is longer than the interval', async () => {
    const { platform, seen, rings } = patientOf({ interval: 100, timeout: 250 });
    await platform.advance(1_000);
    expect(seen).toEqual(['ping at 100', 'dead at 350 after 350']);
    // It looks for the answer after every interval, and at the end.
    expect(rings()).toBe(4);
  });

  it('counts the silence after an answer within a longer timeout', async () => {
    const { platform, target, seen } = patientOf({ interval: 100, timeout: 250 });
    await platform.advance(150);
    target.heardAt = 150;
    await platform.advance(100);
    expect(seen).toEqual(['ping at 100', 'ping at 250']);
  });

  it('pings after every interval while the transport is paused, and never expires', async () => {
    const { platform, target, seen } = patientOf({ interval: 100, timeout: 10 });
    target.paused = true;
    await platform.advance(350);
    expect(seen).toEqual(['ping at 100', 'ping at 200', 'ping at 300']);
    target.paused = false;
    await platform.advance(1_000);
    expect(seen.slice(3)).toEqual(['ping at 400', 'dead at 410 after 110']);
  });

  it('expires while the transport is paused and none of its bytes leave', async () => {
    const { platform, target, seen } = patientOf({ interval: 100, timeout: 50 });
    Object.assign(target, { paused: true, bytesOut: 1, stalledSince: () => 0 });
    await platform.advance(1_000);
    expect(seen.at(-1)).toMatch(/^dead at 200 /);
  });

  it('measures a pause in whole milliseconds', async () => {
    const { platform, target } = patientOf({ interval: 100, timeout: 10 });
    await platform.advance(100.5);
    target.paused = true;
    target.fire();
    expect(target.heardAt).toBe(101);
  });
});
