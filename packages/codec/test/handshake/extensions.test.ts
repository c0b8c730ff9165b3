import {
  type ExtensionOffer,
  formatExtensions,
  parseExtensions,
  parseSubprotocols,
  parseTokenList,
} from '@ws/codec';
import { describe, expect, it } from 'vitest';

/** One text for all elements: names and parameters, with a bar between elements. */
function plain(list: readonly ExtensionOffer[] | undefined): string | undefined {
  const text = ({ name, params, repeated }: ExtensionOffer): string[] => [
    name,
    ...[...params].map(([key, value]) => (value === true ? key : `${key}=${value}`)),
    ...(repeated ? ['(repeated)'] : []),
  ];
  return list?.map((one) => text(one).join(' ')).join(' | ');
}

describe('parseExtensions', () => {
  it.each([
    ['one', 'foo', 'foo'],
    ['several, in the order of preference', 'foo, bar; baz=2', 'foo | bar baz=2'],
    ['what browsers send', 'permessage-deflate; x_bits', 'permessage-deflate x_bits'],
    ['a quoted value', 'foo; a="10"', 'foo a=10'],
    ['a quoted value with escapes', 'foo; a="\\1\\0"', 'foo a=10'],
    ['white space around every separator', ' foo ;\ta = 1 ; b\t', 'foo a=1 b'],
    ['no white space', 'foo;a=1;b,bar', 'foo a=1 b | bar'],
    ['empty elements', ', foo,, ,bar,', 'foo | bar'],
    ['nothing', '', ''],
    ['white space', ' \t', ''],
    ['the same name twice', 'foo; a, foo; b', 'foo a | foo b'],
    ['a repeated parameter', 'foo; a=1; b; a=2', 'foo a=1 b (repeated)'],
    [
      'the names of Object.prototype',
      '__proto__; __proto__=x; constructor; hasOwnProperty=1',
      '__proto__ __proto__=x constructor hasOwnProperty=1',
    ],
  ])('reads %s', (_, value, expected) => {
    expect(plain(parseExtensions(value))).toEqual(expected);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it.each([
    ['a parameter without a name', 'foo; '],
    ['a value without a name', 'foo; =1'],
    ['no name at all', '; a=1'],
    ['no value', 'foo; a='],
    ['an empty quoted value', 'foo; a=""'],
    ['a quoted value that is no token', 'foo; a="1 0"'],
    ['an unclosed quote', 'foo; a="1'],
    ['a quote that ends in an escape', 'foo; a="1\\'],
    ['text behind a quoted value', 'foo; a="1"0'],
    ['a quoted name', '"foo"'],
    ['two names without a comma', 'foo bar'],
    ['two values', 'foo; a=1=2'],
    ['a line break', 'foo\r\nX-Evil: 1'],
    ['a NUL', 'foo\0'],
    ['a letter beyond ASCII', 'foo; a=é'],
    ['a separator that is none', 'foo/1'],
  ])('rejects %s', (_, value) => {
    expect(parseExtensions(value)).toBeUndefined();
  });

  // Inputs that took other parsers minutes. The scanner never goes back, and it rejects more than 4
  // KiB.
  it.each([
    ['an unclosed quote with 7,000 escapes', `foo; a="${'\\c'.repeat(7000)}`],
    ['an unclosed quote with 2,000 escapes', `foo; a="${'\\c'.repeat(2000)}`],
    ['15,000 spaces', `foo${' '.repeat(15_000)}x`],
    ['4,000 spaces', `foo${' '.repeat(4000)}x`],
    ['800 offers', Array(800).fill('permessage-deflate').join(', ')],
  ])('rejects %s', (_, value) => {
    expect(parseExtensions(value)).toBeUndefined();
  });

  it('returns undefined for a field that is absent', () => {
    expect(parseExtensions(undefined as never)).toBeUndefined();
    expect(parseSubprotocols(undefined as never)).toBeUndefined();
    expect(parseTokenList(undefined as never)).toBeUndefined();
  });

  it('accepts fields up to the bounds, and no more', () => {
    const offers = (count: number): string => Array(count).fill('a').join(',');
    expect(parseExtensions(offers(16))).toHaveLength(16);
    expect(parseExtensions(offers(17))).toBeUndefined();
    const params = (count: number): string =>
      `a${Array.from({ length: count }, (_, i) => `;p${i}`).join('')}`;
    expect(parseExtensions(params(16))?.[0]?.params.size).toBe(16);
    expect(parseExtensions(params(17))).toBeUndefined();
    expect(parseExtensions(`a${';b'.repeat(17)}`)).toBeUndefined();
    expect(parseExtensions('a'.repeat(4096))).toHaveLength(1);
    expect(parseExtensions('a'.repeat(4097))).toBeUndefined();
  });
});

describe('formatExtensions', () => {
  it('writes names, values and bare parameters', () => {
    const params = new Map<string, string | true>([
      ['a', '1'],
      ['b', true],
    ]);
    expect(
      formatExtensions([
        { name: 'foo', params },
        { name: 'bar', params: new Map() },
      ]),
    ).toBe('foo; a=1; b, bar');
    expect(formatExtensions([])).toBe('');
  });

  it.each([
    { name: 'a\r\nb', params: new Map() },
    { name: '', params: new Map() },
    { name: 'a', params: new Map([['b c', true as const]]) },
    { name: 'a', params: new Map([['b', '1, x']]) },
    { name: 'a', params: new Map([['b', '']]) },
  ])('rejects %j, which is not a token', (extension) => {
    expect(() => formatExtensions([extension])).toThrow(SyntaxError);
  });

  it('rejects a value that has no JSON text', () => {
    const extension = { name: 'a', params: new Map([['b', 12n as never]]) };
    const error = new SyntaxError('websocket: not a token: bigint');
    expect(() => formatExtensions([extension])).toThrow(error);
  });
});
