import { codePoint } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { subjectToken } from '../../src/nats/subject-token.ts';

describe('subjectToken', () => {
  it('keeps letters, digits and common separators', () => {
    expect(subjectToken('room/chat:42@a-b_c')).toBe('room/chat:42@a-b_c');
  });

  it('escapes characters with a meaning in subjects', () => {
    expect(subjectToken('a.b *>=\r\n\u0000')).toBe('a=002eb=0020=002a=003e=003d=000d=000a=0000');
  });

  it('has different tokens for lone surrogates and similar names', () => {
    const names = ['\ud800', '\ud801', '\ufffd', '\u00e9', 'e\u0301', '=002e', '.'];
    expect(new Set(names.map(subjectToken)).size).toBe(names.length);
  });

  it('gives each channel a valid token of its own', () => {
    const anyText = fc.string({ unit: codePoint, maxLength: 300 });
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        expect(subjectToken(`room/${a}`)).toMatch(/^[!-)+\-/-=?-~]+$/);
        expect(subjectToken(a) === subjectToken(b)).toBe(a === b);
      }),
    );
  });

  it('accepts the longest name by default, and refuses a token that is too long for NATS', () => {
    expect(subjectToken(`room/${'.'.repeat(256)}`)).toHaveLength(5 + 256 * 5);
    expect(() => subjectToken('.'.repeat(601))).toThrow(
      'the subject of the room has 3005 characters, more than 3000; lower the option maxNameBytes',
    );
  });
});
