import { describe, expect, it } from 'vitest';
import { IntervalLatencies, Latencies } from '../../src/load/latencies.ts';

describe('Latencies', () => {
  it('has percentiles in ms with three digits', () => {
    const latencies = new Latencies();
    for (let ms = 1; ms <= 1000; ms++) latencies.record(ms);
    const { p50, p90, p99, most } = latencies.percentiles();
    for (const [value, ms] of [
      [p50, 500],
      [p90, 900],
      [p99, 990],
      [most, 1000],
    ] as const) {
      expect(value / ms).toBeCloseTo(1, 2);
    }
    expect(latencies.count).toBe(1000);
  });

  it('takes any duration', () => {
    const latencies = new Latencies();
    for (const ms of [0, -1, 1e-9, 1e12]) latencies.record(ms);
    expect(latencies.percentiles().most).toBeGreaterThan(3e6);
  });

  it('is NaN without values', () => {
    expect(Object.values(new Latencies().percentiles())).toEqual(Array(6).fill(NaN));
  });
});

describe('IntervalLatencies', () => {
  it('counts each value once in its interval and once in all', () => {
    const latencies = new IntervalLatencies();
    latencies.record(10);
    expect(latencies.endInterval().most).toBeCloseTo(10, 1);
    latencies.record(20);
    expect(latencies.endInterval().most).toBeCloseTo(20, 1);
    expect(latencies.endInterval().most).toBeNaN();
    expect(latencies.count).toBe(2);
  });
});
