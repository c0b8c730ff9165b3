import { expect, test } from 'vitest';
import { describeResult, discardPromise, isThenable } from '../../src/internal.ts';

class Thenable {
  // oxlint-disable-next-line unicorn/no-thenable -- it is the subject of the test
  then(): void {}
}

test('isThenable recognizes every value with a then method', () => {
  const values: unknown[] = [Promise.resolve(), new Thenable(), undefined, null, 1, 'then', {}];
  expect(values.map((value) => isThenable(value))).toEqual([
    true,
    true,
    ...Array<boolean>(5).fill(false),
  ]);
});

test('discardPromise and describeResult leave no unhandled rejection', async () => {
  const unhandled: unknown[] = [];
  const listener = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', listener);
  discardPromise(Promise.reject(new Error('late')));
  const shown = describeResult(Promise.reject(new Error('later')));
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', listener);
  expect(unhandled).toEqual([]);
  expect(shown).toBe('a promise; it must be synchronous');
});

test('describeResult returns the type of any other value', () => {
  expect([null, 1, 'x', {}].map(describeResult)).toEqual(['null', 'number', 'string', 'object']);
});
