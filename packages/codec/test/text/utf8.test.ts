import { isUtf8 } from 'node:buffer';
import { UTF8_ACCEPT, UTF8_REJECT, utf8Step } from '@ws/codec';
import { codePoint, hex, naiveUtf8 } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8Length, writeUtf8 } from '../../src/text/utf8-automaton.ts';
import { bytes, join } from '../support.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The automaton's verdict on a text in pieces: `whole`, `cut` or `bad`. */
function judge(pieces: readonly Uint8Array[], platform?: (bytes: Uint8Array) => boolean): string {
  let state = UTF8_ACCEPT;
  for (const piece of pieces) state = utf8Step(state, piece, 0, piece.length, platform);
  return state === UTF8_ACCEPT ? 'whole' : state === UTF8_REJECT ? 'bad' : 'cut';
}

describe.each([
  ['by itself', undefined],
  ["with the platform's isUtf8", isUtf8],
])('utf8Step %s', (_, platform) => {
  it.each([
    { says: 'every pair of bytes', prefix: '', tail: '' },
    { says: 'what follows E0', prefix: 'e0', tail: '80' },
    { says: 'what follows ED', prefix: 'ed', tail: '' },
    { says: 'what follows F0', prefix: 'f0', tail: '80' },
    { says: 'what follows F4', prefix: 'f4', tail: '' },
    { says: 'what follows F1 80', prefix: 'f1 80', tail: '' },
  ])('agrees with RFC 3629 about $says', ({ prefix, tail }) => {
    for (const pad of ['', 'x'.repeat(70)]) {
      const before = join([utf8(pad), hex(prefix)]);
      const text = join([before, new Uint8Array(2), hex(tail)]);
      const whole = [text];
      for (let i = 0; i < 65536; i += tail === '' ? 1 : 7) {
        if (pad !== '' && i % 61 !== 0) continue;
        text[before.length] = i >> 8;
        text[before.length + 1] = i & 255;
        const said = judge(whole, platform);
        if (said !== naiveUtf8(text))
          expect({ text, said }).toEqual({ text, said: naiveUtf8(text) });
      }
    }
  });

  it('returns the same state for every cut of a text', () => {
    const any = fc.oneof(
      fc.string({ unit: codePoint, maxLength: 150 }).map(utf8),
      fc.uint8Array({ maxLength: 8 }),
      fc.constantFrom(
        hex`f0 9f 98`,
        hex`e2 82`,
        hex`ed a0 80`,
        hex`c0 80`,
        utf8('ASCII '.repeat(20)),
      ),
    );
    fc.assert(
      fc.property(
        fc.array(any, { maxLength: 5 }),
        fc.array(fc.nat(), { maxLength: 4 }),
        (parts, at) => {
          const text = join(parts);
          const cuts = [
            0,
            ...at.map((n) => n % (text.length + 1)).toSorted((a, b) => a - b),
            text.length,
          ];
          const pieces = cuts.slice(1).map((end, i) => text.subarray(cuts[i], end));
          const expected = naiveUtf8(text);
          expect(judge([text], platform)).toBe(expected);
          expect(judge(pieces, platform)).toBe(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('rejects at the first invalid byte, for any length of text', () => {
    for (const length of [1, 7, 8, 9, 63, 64, 65, 200]) {
      for (let at = 0; at < length; at++) {
        const text = new Uint8Array(length).fill(0x61);
        text[at] = 0xff;
        expect(utf8Step(0, text, 0, at, platform)).toBe(UTF8_ACCEPT);
        expect(utf8Step(0, text, at, length, platform)).toBe(UTF8_REJECT);
        expect(utf8Step(0, text, 0, length, platform)).toBe(UTF8_REJECT);
      }
    }
  });

  it('stays rejected', () => {
    expect(utf8Step(UTF8_REJECT, utf8('fine'), 0, 4, platform)).toBe(UTF8_REJECT);
    expect(utf8Step(UTF8_REJECT, utf8('fine'), 0, 0, platform)).toBe(UTF8_REJECT);
  });

  it('reads only the given range', () => {
    const text = join([hex`ff`, utf8('é'.repeat(40)), hex`ff`]);
    expect(utf8Step(0, text, 1, 81, platform)).toBe(UTF8_ACCEPT);
    expect(utf8Step(0, text, 1, 80, platform)).toBe(1);
  });

  it('carries a character over any cut near the end of a long piece', () => {
    const text = utf8(`${'ab'.repeat(50)}😀語é${'z'.repeat(3)}`);
    for (let at = 90; at <= text.length; at++) {
      expect(judge([text.subarray(0, at), text.subarray(at)], platform)).toBe('whole');
    }
  });
});

describe('utf8Step', () => {
  it.each([
    { says: 'a range that begins before the bytes', state: 0, start: -1, end: 2 },
    { says: 'a range that ends before it begins', state: 0, start: 3, end: 2 },
    { says: 'a range that ends behind the bytes', state: 0, start: 0, end: 5 },
    { says: 'a negative state', state: -1, start: 0, end: 0 },
    { says: 'a state that there is not', state: 9, start: 0, end: 0 },
    { says: 'a state that is no number', state: Number.NaN, start: 0, end: 0 },
    { says: 'a range of no numbers', state: 0, start: Number.NaN, end: 1 },
  ])('rejects $says', ({ state, start, end }) => {
    expect(() => utf8Step(state, bytes(4), start, end)).toThrow(RangeError);
    expect(() => utf8Step(state, 'text' as never, start, end)).toThrow(TypeError);
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

describe('utf8Length and writeUtf8', () => {
  it('agree with TextEncoder, also about lone surrogates', () => {
    const unit = fc.constantFrom(...'a é 語 \u07ff \u0800 \uffff 😀 \ud83d \ude00'.split(' '));
    fc.assert(
      fc.property(fc.array(unit), (units) => {
        const text = units.join('');
        const expected = utf8(text);
        expect(utf8Length(text)).toBe(expected.length);
        const room = new Uint8Array(text.length * 3 + 5);
        expect(writeUtf8(room, 5, text)).toBe(expected.length);
        expect(room.slice(5, 5 + expected.length)).toEqual(expected);
      }),
    );
  });
});
