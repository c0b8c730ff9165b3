import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { retryDelay } from '../src/retry-delay.ts';

const range = fc
  .tuple(
    fc.double({ min: 1, max: 2 ** 31 - 1, noNaN: true }),
    fc.double({ min: 1, max: 2 ** 31 - 1, noNaN: true }),
  )
  .map(([a, b]) => ({ minDelay: Math.min(a, b), maxDelay: Math.max(a, b) }));
const tries = fc.integer({ min: 1, max: 5000 });
const moreTries = fc.integer({ min: 2, max: 5000 });
const random = fc.double({ min: 0, max: 1, noNaN: true });

describe('retryDelay', () => {
  it.each([
    { tries: 1, random: 0, delay: 0 },
    { tries: 1, random: 0.5, delay: 100 },
    { tries: 1, random: 1, delay: 200 },
    { tries: 2, random: 0, delay: 200 },
    { tries: 2, random: 1, delay: 400 },
    { tries: 3, random: 0, delay: 400 },
    { tries: 4, random: 0, delay: 500 },
    { tries: 4, random: 1, delay: 1000 },
    { tries: 400, random: 0, delay: 500 },
    { tries: 4000, random: 1, delay: 1000 },
  ])('is $delay ms after $tries tries with a random number of $random', (row) => {
    const range = { minDelay: 100, maxDelay: 1000 };
    expect(retryDelay(row.tries, range, row.random)).toBe(row.delay);
  });

  it('is never over maxDelay, and from the second try on never under minDelay', () => {
    fc.assert(
      fc.property(tries, range, random, (n, range, x) => {
        const delay = retryDelay(n, range, x);
        return (n === 1 || delay >= range.minDelay) && delay <= range.maxDelay;
      }),
    );
  });

  it('never shrinks with more tries, nor with more chance', () => {
    fc.assert(
      fc.property(tries, range, random, random, (n, range, x, y) => {
        const [less, more] = [Math.min(x, y), Math.max(x, y)];
        return (
          retryDelay(n + 1, range, x) >= retryDelay(n, range, x) &&
          retryDelay(n, range, more) >= retryDelay(n, range, less)
        );
      }),
    );
  });

  it('returns at least half of the longest wait after the second try', () => {
    fc.assert(
      fc.property(moreTries, range, (n, range) => {
        return retryDelay(n, range, 0) * 2 >= Math.min(range.maxDelay, range.minDelay * 2 ** n);
      }),
    );
  });

  it('is the same from the second try on where minDelay is maxDelay', () => {
    fc.assert(
      fc.property(moreTries, random, (n, x) => {
        return retryDelay(n, { minDelay: 70, maxDelay: 70 }, x) === 70;
      }),
    );
  });
});
