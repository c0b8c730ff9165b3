import { describe, expect, test } from 'vitest';
import { assertOption, checkOptionNames, transportHighWaterMark, typeName } from '../src/index.ts';

describe('checkOptionNames', () => {
  test('accepts known names only', () => {
    expect(() => checkOptionNames('serve', { port: 0 }, ['port'], 'reject')).not.toThrow();
    expect(() => checkOptionNames('serve', { prot: 0 }, ['port', 'host'], 'ignore')).toThrow(
      new TypeError('serve: unknown option prot; known options: port, host'),
    );
  });

  test('ignores or rejects an unknown name with the value undefined', () => {
    const options = { prot: undefined };
    expect(() => checkOptionNames('serve', options, ['port'], 'ignore')).not.toThrow();
    expect(() => checkOptionNames('serve', options, ['port'], 'reject')).toThrow(TypeError);
  });

  test.each([null, 'text', 1, undefined])('rejects %s', (options) => {
    expect(() => checkOptionNames('serve', options as unknown as object, [], 'ignore')).toThrow(
      `serve: expected an object of options, got ${typeName(options)}`,
    );
  });
});

test('assertOption names the option and the type that it has', () => {
  expect(() => assertOption('port', null, false, 'a number')).toThrow(
    new TypeError('port: expected a number, got null'),
  );
  expect(() => assertOption('port', 1, true, 'a number')).not.toThrow();
});

test('transportHighWaterMark returns at most 64 KiB', () => {
  expect([1, 65_536, 65_537, 1 << 20].map(transportHighWaterMark)).toEqual([
    1, 65_536, 65_536, 65_536,
  ]);
});
