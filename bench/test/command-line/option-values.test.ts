import { describe, expect, it } from 'vitest';
import { list, size, time, wholeNumber } from '../../src/command-line/option-values.ts';
import { UsageError } from '../../src/command-line/usage-error.ts';

describe('an option value', () => {
  it.each([
    ['10', 10_000],
    ['10s', 10_000],
    ['1.5m', 90_000],
    ['250ms', 250],
    ['1h', 3_600_000],
  ])('is a time: %s', (given, ms) => {
    expect(time({ duration: given }, 'duration', 1)).toBe(ms);
  });

  it.each(['0', '-1', '1d', '', 'abc', '1e9', '1000h'])('is no valid time: %j', (given) => {
    expect(() => time({ duration: given }, 'duration', 1)).toThrow(UsageError);
  });

  it.each([
    ['0', 0],
    ['125', 125],
    ['16KiB', 16_384],
    ['1 MiB', 1_048_576],
  ])('is a size: %s', (given, bytes) => {
    expect(size({ payload: given }, 'payload', 1, 2 ** 20)).toBe(bytes);
  });

  it.each(['-1', '1.5', '1KB', '2MiB', ''])('is no valid size: %j', (given) => {
    expect(() => size({ payload: given }, 'payload', 1, 2 ** 20)).toThrow(UsageError);
  });

  it.each(['0', '-1', '1.5', '0x10', '', ' 1', '101'])(
    'is no number from 1 to 100: %j',
    (given) => {
      expect(() => wholeNumber({ n: given }, 'n', 1, { most: 100 })).toThrow(
        `--n: expected a whole number from 1 to 100, got '${given}'`,
      );
    },
  );

  it('is a list for an option that may be repeated', () => {
    expect([list(undefined), list('a'), list(['a', 'b'])]).toEqual([[], ['a'], ['a', 'b']]);
  });
});

describe('a missing option', () => {
  it('has its default', () => {
    expect([wholeNumber({}, 'n', 7), time({}, 't', 8), size({}, 's', 9, 10)]).toEqual([7, 8, 9]);
  });
});
