import { FakeHost } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import { Heartbeat, type Patient } from '../src/heartbeat.ts';
import { Timers } from '../src/timers.ts';

/** A patient and what has been done to it, with the times. */
function patientOf(option: { interval: number; timeout: number }) {
  const host = new FakeHost();
  const heartbeat = new Heartbeat(new Timers(host), option);
  const seen: string[] = [];
  let rings = 0;
  const patient: Patient & { paused: boolean } = {
    tick: undefined,
    heardAt: 0,
    askedAt: undefined,
    paused: false,
    ring() {
      rings++;
      heartbeat.ring(patient, host.now());
    },
    ping: () => void seen.push(`ping at ${host.now()}`),
    dead: (ms) => void seen.push(`dead at ${host.now()} after ${ms}`),
  };
  heartbeat.start(patient);
  return { host, patient, seen, rings: () => rings };
}

describe('Heartbeat', () => {
  it('asks after an interval of silence, and gives up a timeout later', async () => {
    const { host, seen } = patientOf({ interval: 100, timeout: 50 });
    await host.advance(99);
    expect(seen).toEqual([]);
    await host.advance(1_000);
    expect(seen).toEqual(['ping at 100', 'dead at 150 after 150']);
    expect(host.timers).toBe(0);
  });

  it('counts the interval from the last bytes', async () => {
    const { host, patient, seen } = patientOf({ interval: 100, timeout: 50 });
    await host.advance(60);
    patient.heardAt = 60;
    await host.advance(99);
    expect(seen).toEqual([]);
    await host.advance(1);
    expect(seen).toEqual(['ping at 160']);
  });

  it('takes whatever comes from that moment on for an answer', async () => {
    const { host, patient, seen } = patientOf({ interval: 100, timeout: 50 });
    await host.advance(100);
    patient.heardAt = 100;
    await host.advance(99);
    expect(patient.askedAt).toBeUndefined();
    await host.advance(51);
    expect(seen).toEqual(['ping at 100', 'ping at 200', 'dead at 250 after 150']);
  });

  it('asks once, however much longer the timeout is', async () => {
    const { host, seen, rings } = patientOf({ interval: 100, timeout: 250 });
    await host.advance(1_000);
    expect(seen).toEqual(['ping at 100', 'dead at 350 after 350']);
    // It looks for the answer after every interval, and at the end.
    expect(rings()).toBe(4);
  });

  it('counts the silence after an answer that came within a longer timeout', async () => {
    const { host, patient, seen } = patientOf({ interval: 100, timeout: 250 });
    await host.advance(150);
    patient.heardAt = 150;
    await host.advance(100);
    expect(seen).toEqual(['ping at 100', 'ping at 250']);
  });

  it('asks after every interval while the transport is paused, and never gives up', async () => {
    const { host, patient, seen } = patientOf({ interval: 100, timeout: 10 });
    patient.paused = true;
    await host.advance(350);
    expect(seen).toEqual(['ping at 100', 'ping at 200', 'ping at 300']);
    patient.paused = false;
    await host.advance(1_000);
    expect(seen.slice(3)).toEqual(['ping at 400', 'dead at 410 after 110']);
  });

  it('hears nothing in a pause in whole milliseconds', async () => {
    const { host, patient } = patientOf({ interval: 100, timeout: 10 });
    await host.advance(100.5);
    patient.paused = true;
    patient.ring();
    expect(patient.heardAt).toBe(101);
  });
});
