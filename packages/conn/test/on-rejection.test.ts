import { expect, test } from 'vitest';
import { isThenable } from '../src/on-rejection.ts';

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
