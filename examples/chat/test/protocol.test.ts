import { describe, expect, it } from 'vitest';
import { cleanName, cleanText, said } from '../protocol.ts';

describe('said', () => {
  const check = (value: unknown) => said['~standard'].validate(value);

  it('cleans a message and sets its time', () => {
    const given = { key: 'k-1_Z', text: 'hello\u0007', at: 1, more: true };
    expect(check(given)).toEqual({
      value: { key: 'k-1_Z', text: 'hello', at: 1 },
    });
  });

  it.each([
    undefined,
    null,
    'hello',
    {},
    { key: '', text: 'x', at: 1 },
    { key: 'k'.repeat(37), text: 'x', at: 1 },
    { key: 'k', text: ['x'], at: 1 },
    { key: 'k', text: ' ', at: 1 },
    { key: 'k', text: 'x'.repeat(2_001), at: 1 },
    { key: 'k', text: 'x', at: '1' },
  ])('does not take %j', (value) => {
    expect(check(value)).toEqual({ issues: [{ message: 'a message has 1 to 2000 characters' }] });
  });
});

describe('cleanName', () => {
  it.each([
    { says: 'a name as it is', name: 'Ada Lovelace', clean: 'Ada Lovelace' },
    {
      says: 'blanks and line ends as one blank',
      name: '  Ada \r\n\t Lovelace ',
      clean: 'Ada Lovelace',
    },
    { says: 'nothing for an invisible name', name: '\u200b\u202e\u0007', clean: '' },
    { says: 'an emoji of a family as one character', name: '👩‍👧', clean: '👩‍👧' },
    { says: 'no half of a surrogate pair', name: 'A\ud83d', clean: 'A' },
    { says: '32 characters', name: 'x'.repeat(32), clean: 'x'.repeat(32) },
    { says: 'nothing for 33 characters', name: 'x'.repeat(33), clean: '' },
  ])('gives $says', ({ name, clean }) => {
    expect(cleanName(name)).toBe(clean);
  });
});

describe('cleanText', () => {
  it.each([
    { says: 'keeps lines and tabs', text: 'a\r\n\tb\rc', clean: 'a\n\tb\nc' },
    { says: 'drops other control characters', text: 'a\u0000\u001b[1mb\u0085', clean: 'a[1mb' },
    { says: 'shortens repeated empty lines', text: 'a\n\n\n\n\nb', clean: 'a\n\nb' },
    { says: 'trims', text: ' \n a \n ', clean: 'a' },
    {
      says: 'keeps HTML, because the page does not interpret it',
      text: '<b>&amp;',
      clean: '<b>&amp;',
    },
  ])('$says', ({ text, clean }) => {
    expect(cleanText(text)).toBe(clean);
  });
});
