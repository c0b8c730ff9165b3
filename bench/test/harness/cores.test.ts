import { describe, expect, it } from 'vitest';
import { parseCores } from '../../src/harness/cores.ts';

describe('parseCores', () => {
  it.each([
    ['0', [0]],
    ['0-2', [0, 1, 2]],
    [' 1,4-5\n', [1, 4, 5]],
    ['', []],
    ['what', []],
  ])('parses %j', (list, cores) => {
    expect(parseCores(list)).toEqual(cores);
  });
});
