import { describe, expect, it } from 'vitest';
import { parseThreshold } from '../../src/load/thresholds.ts';
import { reportOf } from '../../src/scenarios/load-report.ts';

describe('EB3 the report of a load with a fault', () => {
  it('judges no threshold', () => {
    const latency = { p50: 1, p90: 1, p95: 1, p99: 1, p999: 1, most: 1 };
    const ran = { latency, messages: 10, ms: 1_000, cpu: 0, series: [] };
    const plan = { url: 'ws://a', connections: 1, payload: 1, depth: 1, ms: 1_000 };
    const thresholds = [parseThreshold('errors==0')];
    const report = (fault?: string) =>
      reportOf(plan as never, { ...ran, ...(fault !== undefined && { fault }) }, thresholds);
    expect(report().text).toContain('threshold errors==0: 0, passed');
    const failed = report('a frame differs');
    expect(failed.exitCode).toBe(1);
    expect(failed.text).not.toContain('passed');
    expect(failed.text).toContain('threshold errors==0: not judged');
  });
});
