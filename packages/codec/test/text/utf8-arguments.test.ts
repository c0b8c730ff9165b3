import { UTF8_REJECT, utf8Step } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { utf8Length } from '../../src/text/utf8-automaton.ts';
import { bytes } from '../support.ts';

describe('utf8Step', () => {
  it.each([
    { says: 'a range that begins before the bytes', state: 0, start: -1, end: 2 },
    { says: 'a range that ends before it begins', state: 0, start: 3, end: 2 },
    { says: 'a range that ends behind the bytes', state: 0, start: 0, end: 5 },
    { says: 'a negative state', state: -1, start: 0, end: 0 },
    { says: 'a state that there is not', state: 9, start: 0, end: 0 },
  ])('rejects $says', ({ state, start, end }) => {
    expect(() => utf8Step(state, bytes(4), start, end)).toThrow(RangeError);
  });

  it('accepts an empty range, at either end', () => {
    for (const at of [0, 4]) expect(utf8Step(3, bytes(4), at, at)).toBe(3);
  });
});

describe('bytes that look like ASCII', () => {
  it('are rejected: a lone 80 among zeros', () => {
    for (let at = 0; at < 16; at++) {
      const text = new Uint8Array(16);
      text[at] = 0x80;
      expect(utf8Step(0, text, 0, 16)).toBe(UTF8_REJECT);
    }
  });

  it('has two bytes from U+0080 on', () => {
    expect(['\u007f', '\u0080', '\u07ff', '\u0800'].map(utf8Length)).toEqual([1, 2, 2, 3]);
  });
});
