import { describe, expect, it } from 'vitest';
import { parseThreshold } from '../../src/load/thresholds.ts';

const figures = {
  latency: { p50: 1, p90: 2, p95: 3, p99: 4, p999: 5, most: 6 },
  rate: 1000,
  errors: 1,
  messages: 99,
};

describe('parseThreshold', () => {
  it.each([
    ['p95<50', 3, true],
    ['p(95) < 3', 3, false],
    ['p99.9<=5', 5, true],
    ['max<5.5', 6, false],
    ['rate>=1000', 1000, true],
    ['errors==0', 1, false],
    ['errors<=1%', 1, true],
    ['errors < 0.5 %', 1, false],
  ])('checks %s', (text, value, passed) => {
    expect(parseThreshold(text)(figures)).toEqual({ threshold: text, value, passed });
  });

  it('misses a latency without a message', () => {
    const latency = { ...figures.latency, p95: Number.NaN };
    expect(parseThreshold('p95<50')({ ...figures, latency }).passed).toBe(false);
  });

  it.each(['p95', 'p42<1', 'avg<1', 'rate>1%', 'errors!=0', 'p95<50ms', ''])(
    'rejects %j',
    (text) => {
      expect(() => parseThreshold(text)).toThrow(`threshold '${text}': expected p50, p90,`);
    },
  );
});
