import { describe, expect, test } from 'vitest';
import { headerEntries } from '../../src/internal.ts';

describe('headerEntries', () => {
  test.each([
    { kind: 'an object', input: { A: '1', B: ['2', '3'] } },
    { kind: 'pairs', input: [['A', '1'] as const, ['B', ['2', '3']] as const] },
    {
      kind: 'a Map',
      input: new Map<string, unknown>([
        ['A', '1'],
        ['B', ['2', '3']],
      ]),
    },
  ])('yields the names and values of $kind in order', ({ input }) => {
    expect([...headerEntries(input)]).toEqual([
      ['A', '1'],
      ['B', ['2', '3']],
    ]);
  });

  test('rejects a flat list of names and values', () => {
    expect(() => [...headerEntries(['A', '1'])]).toThrow(
      new TypeError('headers: expected pairs of name and value'),
    );
  });
});
