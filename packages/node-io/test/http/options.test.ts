import { expect, test } from 'vitest';
import { assertOption, transportOptions } from '../../src/internal.ts';

test('assertOption names the option and the type that it has', () => {
  expect(() => assertOption('port', null, false, 'a number')).toThrow(
    new TypeError('port: expected a number, got null'),
  );
  expect(() => assertOption('port', 1, true, 'a number')).not.toThrow();
});

test('transportOptions has a high-water mark of at most 64 KiB', () => {
  const marks = [1, 65_536, 65_537, 1 << 20].map((n) => transportOptions(true, n).highWaterMark);
  expect(marks).toEqual([1, 65_536, 65_536, 65_536]);
});
