import { parseSubprotocols, parseTokenList } from '@ws/codec';
import { hasToken } from '@ws/codec/internal';
import { describe, expect, it } from 'vitest';

const tokenChars = "!#$%&'*+-.^_`|~0189AMZamz";

describe('parseTokenList', () => {
  it.each([
    ['one token', 'upgrade', ['upgrade']],
    ['several, in their order and case', 'keep-alive, Upgrade', ['keep-alive', 'Upgrade']],
    ['tabs and no space', 'a\t,\tb,c', ['a', 'b', 'c']],
    ['empty elements', ', a,, b ,', ['a', 'b']],
    ['nothing', '', []],
    ['only separators', ' , ,\t', []],
    ['the same token twice', 'a, a', ['a', 'a']],
    ['every character of a token', `${tokenChars}`, [tokenChars]],
    ['the names of Object.prototype', '__proto__, constructor', ['__proto__', 'constructor']],
  ])('reads %s', (_, value, tokens) => {
    expect(parseTokenList(value)).toEqual(tokens);
  });

  it.each([
    ['two tokens without a comma', 'x websocket'],
    ['a slash', 'foo/2'],
    ['a quoted string', '"a"'],
    ['a line break', 'a\r\nb: c'],
    ['a NUL', 'a\0'],
    ['a letter beyond ASCII', 'websoc\u212aet'],
    ['an equals sign', 'a=1'],
    ['15,000 spaces between two letters', `b${' '.repeat(15_000)}x`],
  ])('rejects %s', (_, value) => {
    expect(parseTokenList(value)).toBeUndefined();
  });
});

describe('hasToken', () => {
  it.each([
    'upgrade',
    'UpGrAdE',
    'keep-alive, Upgrade',
    'Upgrade,keep-alive',
    'a b, upgrade',
    'foo/2 ,\tupgrade\t',
    ',,upgrade',
  ])('finds the token in %j', (value) => {
    expect(hasToken(value, 'Upgrade')).toBe(true);
  });

  it.each(['', 'x upgrade', 'upgrades', 'up grade', '"upgrade"', 'upgrade/2', '\u00a0upgrade'])(
    'does not find it in %j',
    (value) => {
      expect(hasToken(value, 'upgrade')).toBe(false);
    },
  );

  it('ignores the case of ASCII only', () => {
    expect(hasToken('websoc\u212aet', 'websocket')).toBe(false);
  });
});

const names = (count: number): string =>
  Array.from({ length: count }, (_, i) => `p${i}`).join(', ');

describe('parseSubprotocols', () => {
  it.each([
    ['one', 'chat', ['chat']],
    ['several, in the order of preference', 'superchat, chat', ['superchat', 'chat']],
    ['names that differ in case', 'Chat, chat', ['Chat', 'chat']],
    ['none', '', []],
  ])('reads %s', (_, value, expected) => {
    expect(parseSubprotocols(value)).toEqual(expected);
  });

  it.each([
    ['a name twice', 'chat, chat'],
    ['markup', '<script>'],
    ['a space inside a name', 'a b'],
    ['65 names', names(65)],
    ['more than 4 KiB', 'x'.repeat(4097)],
    ['15,000 spaces', `b${' '.repeat(15_000)}x`],
  ])('rejects %s', (_, value) => {
    expect(parseSubprotocols(value)).toBeUndefined();
  });

  it('accepts fields up to the bounds', () => {
    expect(parseSubprotocols(names(64))).toHaveLength(64);
    expect(parseSubprotocols('x'.repeat(4096))).toHaveLength(1);
  });
});
