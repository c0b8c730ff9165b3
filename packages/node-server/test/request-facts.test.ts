import { collectGarbage } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { RequestHeaders } from '../src/request-facts.ts';

const headersOf = (...rawHeaders: string[]): RequestHeaders => new RequestHeaders({ rawHeaders });

describe('RequestHeaders', () => {
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
    for (let i = 0; i < kept.length; i++) kept[i] = headersOf('Host', 'a', ...rawHeaders);
    collectGarbage();
    const each = (process.memoryUsage().heapUsed - before) / kept.length;
    expect(kept.every((headers) => headers.once('host') === 'a')).toBe(true);
    expect(each).toBeLessThan(2_000);
  });
});
