import { TextEncoder } from 'node:util';
import { hex } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { readText, writeText } from '../../src/text/short-text.ts';

/** The first and the last character of one, two, three and four bytes. */
const BORDERS = [
  0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x10ffff,
].map((code) => String.fromCodePoint(code));
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('writeText', () => {
  it.each(BORDERS)('writes %j at the given index, and no other byte', (char) => {
    const bytes = encode(`a${char}b`);
    const room = new Uint8Array(bytes.length + 2).fill(0xee);
    expect(writeText(room, 1, `a${char}b`)).toBe(bytes.length);
    expect(room).toEqual(Uint8Array.of(0xee, ...bytes, 0xee));
  });

  it.each(BORDERS)('returns -1 when %j does not fit', (char) => {
    const { length } = encode(char);
    expect(writeText(new Uint8Array(length + 2), 3, char)).toBe(-1);
    expect(writeText(new Uint8Array(length + 3), 3, char)).toBe(length);
  });

  it.each(['\ud800', '\udbff', '\udc00', '\udfff'])('writes U+FFFD for a single %j', (half) => {
    const room = new Uint8Array(3);
    expect(writeText(room, 0, half)).toBe(3);
    expect(room).toEqual(hex`ef bf bd`);
  });
});

describe('readText', () => {
  it.each(BORDERS)('reads %j between others', (char) => {
    const bytes = encode(`xa${char}by`);
    expect(readText(bytes, 1, bytes.length - 1)).toBe(`a${char}b`);
  });

  it('reads an empty range as an empty text', () => {
    expect(readText(hex`61`, 1, 1)).toBe('');
  });

  it.each([
    ['the last byte that begins nothing', 'bf'],
    ['the first byte above those that begin', 'f8 80 80 80'],
    ['two bytes for the last of one', 'c1 bf'],
    ['three bytes for the last of two', 'e0 9f bf'],
    ['four bytes for the last of three', 'f0 8f bf bf'],
    ['the first surrogate', 'ed a0 80'],
    ['the last surrogate', 'ed bf bf'],
    ['the first beyond U+10FFFF', 'f4 90 80 80'],
    ['a letter after two bytes of three', 'e2 82 61'],
    ['the start of another character instead of a byte', 'e2 c2 80'],
  ])('rejects %s', (_, wire) => {
    const bytes = hex(wire);
    expect(readText(bytes, 0, bytes.length)).toBeUndefined();
  });

  it.each(BORDERS.slice(2))(
    'rejects %j without its last byte, even if that byte follows the range',
    (char) => {
      const bytes = encode(char);
      expect(readText(bytes, 0, bytes.length - 1)).toBeUndefined();
    },
  );
});
