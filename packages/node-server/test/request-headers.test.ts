import { collectGarbage } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { IncomingFacts } from '../src/request.ts';

const headersOf = (...rawHeaders: string[]): IncomingFacts => new IncomingFacts({ rawHeaders });

describe('IncomingFacts', () => {
  it('returns the lines of a field in order, for any case of its name', () => {
    const headers = headersOf('Upgrade', 'a', 'Host', 'h', 'UPGRADE', 'b', 'upgrade', '');
    expect(headers.lines('upgrade')).toEqual(['a', 'b', '']);
    expect(headers.list('upgrade')).toBe('a, b, ');
    expect(headers.once('upgrade')).toBe(undefined);
    expect(headers.once('host')).toBe('h');
    expect(headers.lines('origin')).toEqual([]);
    expect(headers.list('origin')).toBe('');
  });

  it('keeps no fields without a rule', () => {
    const rawHeaders = Array.from({ length: 2_000 }, (_, i) => (i % 2 === 0 ? `x-${i}` : ''));
    const kept = Array.from({ length: 500 }, () => headersOf());
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < kept.length; i++) {
      const request = { rawHeaders: ['Host', 'a', ...rawHeaders] };
      kept[i] = new IncomingFacts(request);
      // The request itself keeps all of them.
      request.rawHeaders = [];
    }
    collectGarbage();
    const each = (process.memoryUsage().heapUsed - before) / kept.length;
    expect(kept.every((headers) => headers.once('host') === 'a')).toBe(true);
    expect(each).toBeLessThan(2_000);
  });
});
