import vm from 'node:vm';
import { expect, test } from 'vitest';
import { asError, describeResult } from '../../src/internal.ts';

test('describeResult leaves no unhandled rejection', async () => {
  const unhandled: unknown[] = [];
  const listener = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', listener);
  const shown = describeResult(Promise.reject(new Error('late')));
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', listener);
  expect(unhandled).toEqual([]);
  expect(shown).toBe('a promise; it must be synchronous');
});

test('describeResult returns the type of any other value', () => {
  expect([null, 1, 'x', {}].map(describeResult)).toEqual(['null', 'number', 'string', 'Object']);
});

// Jest runs tests in a context of vm: errors of Node's modules are of another realm.
test('15 asError returns an Error of another realm as it is', () => {
  const error: unknown = vm.runInNewContext(
    "Object.assign(new Error('none'), { code: 'ENOTFOUND' })",
  );
  expect(error instanceof Error).toBe(false);
  expect(asError(error, 'lookup')).toBe(error);
});

test('asError describes another thrown value', () => {
  const { message, cause } = asError('none', 'lookup');
  expect(message).toBe('lookup threw a value that is not an Error');
  expect(cause).toBe('none');
});
