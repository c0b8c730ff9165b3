import { parseSubprotocols } from '@ws/codec';
import { describe, expect, it } from 'vitest';

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
