import { expect, test } from 'vitest';
import { describeResult } from '../../src/internal.ts';

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
