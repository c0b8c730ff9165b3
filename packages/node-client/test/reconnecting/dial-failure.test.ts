import { describe, expect, it } from 'vitest';
import { retryAfter } from '../../src/reconnecting/dial-failure.ts';

describe('retryAfter', () => {
  const now = Date.UTC(2026, 0, 2, 3, 4, 5);

  it.each([
    ['nothing', undefined, 0],
    ['seconds', '120', 120_000],
    ['no seconds', '0', 0],
    ['a date', 'Fri, 02 Jan 2026 03:04:35 GMT', 30_000],
    ['a date of RFC 850', 'Friday, 02-Jan-26 03:04:35 GMT', 30_000],
    ['a date that is over', 'Fri, 02 Jan 2026 03:04:00 GMT', 0],
    ['an empty value', '', 0],
    ['a negative number', '-5', 0],
    ['a fraction', '1.5', 0],
    ['words', 'soon', 0],
    ['words like a date', 'Soon, very', 0],
    ['a year', '2027-01-01', 0],
    ['a number without end', '9'.repeat(400), Infinity],
  ])('reads %s', (_, value, delay) => {
    expect(retryAfter(value === undefined ? {} : { 'retry-after': value }, now)).toBe(delay);
  });
});
