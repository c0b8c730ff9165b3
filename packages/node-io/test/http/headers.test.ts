import { describe, expect, test } from 'vitest';
import { headerEntries, rawHeaderValues } from '../../src/internal.ts';

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

describe('rawHeaderValues', () => {
  test('returns every line of one header, in any case', () => {
    const raw = ['Set-Cookie', 'a=1', 'Date', 'now', 'set-cookie', 'b=2'];
    expect(rawHeaderValues(raw, 'set-cookie')).toEqual(['a=1', 'b=2']);
  });

  test('does not take a value for a name', () => {
    expect(rawHeaderValues(['A', 'date', 'B', 'x'], 'date')).toEqual([]);
  });
});
