import { describe, expect, it } from 'vitest';
import { coresLine, parseCores, twoCores } from '../../src/harness/cores.ts';

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

describe('twoCores', () => {
  const pairs = (core: number): number[] => [core & ~1, core | 1];

  it.each([
    ['two cores', [0, 1], (core: number) => [core], { server: 0, load: 1, shared: false }],
    ['other cores than 0', [0, 1, 2, 3], (core: number) => [core], { server: 1, load: 2 }],
    ['two physical cores', [0, 1, 2, 3], pairs, { server: 0, load: 2, shared: false }],
    ['two threads, for want of more', [0, 1], pairs, { server: 0, load: 1, shared: true }],
    ['none for want of a second one', [3], pairs, { server: undefined, load: undefined }],
  ])('takes %s', (_, allowed, siblings, expected) => {
    expect(twoCores(allowed, siblings)).toMatchObject(expected);
  });
});

describe('coresLine', () => {
  it('says what is lost', () => {
    expect(coresLine({ server: 0, load: 1, shared: true })).toContain('ONE physical core');
    expect(coresLine({ server: undefined, load: undefined, shared: false })).toContain(
      'ratios below 1.3 mean nothing',
    );
  });
});
