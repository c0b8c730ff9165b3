import { describe, expect, it } from 'vitest';
import { connectionsAt, durationOf, moments, ramps, steady } from '../../src/load/stages.ts';

describe('connectionsAt', () => {
  const plan = ramps([
    { ms: 1000, connections: 10 },
    { ms: 1000, connections: 10 },
    { ms: 500, connections: 0 },
  ]);

  it('ramps from one stage to the next', () => {
    expect(connectionsAt(plan, 1)).toBe(1);
    expect([0, 500, 1000, 1500, 2250, 2500].map((ms) => connectionsAt(plan, ms))).toEqual([
      0, 5, 10, 10, 5, 0,
    ]);
    expect(durationOf(plan)).toBe(2500);
  });

  it('has all users from the start without ramps', () => {
    expect(connectionsAt(steady(100, 7, undefined), 0)).toBe(7);
  });
});

describe('moments', () => {
  it('are at equal distances for one rate', () => {
    expect([...moments(steady(1000, 1, 4))]).toEqual([0, 250, 500, 750]);
  });

  it('come faster in a ramp, as many as the mean rate', () => {
    const plan = ramps([
      { ms: 1000, connections: 1, rate: 100 },
      { ms: 1000, connections: 1, rate: 100 },
      { ms: 1000, connections: 1, rate: 0 },
    ]);
    const all = [...moments(plan)];
    const within = (from: number): number =>
      all.filter((at) => at >= from && at < from + 1000).length;
    expect([0, 1000, 2000].map(within)).toEqual([50, 100, 50]);
    expect(all).toEqual(all.toSorted((a, b) => a - b));
    const steps = all.slice(1, 49).map((at, i) => at - all[i]!);
    expect(steps).toEqual(steps.toSorted((a, b) => b - a));
  });

  it('are none without a rate', () => {
    expect([...moments(ramps([{ ms: 1000, connections: 1 }]))]).toEqual([]);
  });
});

describe('ramps', () => {
  it('rejects stages with and without a rate', () => {
    const stages = [
      { ms: 1, connections: 1 },
      { ms: 1, connections: 1, rate: 1 },
    ];
    expect(() => ramps(stages)).toThrow('give a rate to each stage or to none');
  });
});
