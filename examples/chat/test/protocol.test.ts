import { describe, expect, it } from 'vitest';
import { BadRequest, cleanName, cleanText, parseRequest } from '../protocol.ts';

describe('parseRequest', () => {
  it.each([
    { t: 'name', name: 'Ada', room: 'jardin-été_1' },
    { t: 'say', key: 'k-1_Z', text: 'hello' },
    { t: 'ping', n: 1.5 },
  ])('reads a $t', (request) => {
    expect(parseRequest(JSON.stringify({ ...request, more: true }))).toEqual(request);
  });

  it.each([
    '',
    'hello',
    'null',
    '1',
    '[]',
    '{}',
    '{"t":"shout"}',
    '{"t":"name","name":1}',
    '{"t":"name","name":"Ada","room":""}',
    '{"t":"name","name":"Ada","room":"a/b"}',
    `{"t":"name","name":"Ada","room":"${'r'.repeat(33)}"}`,
    '{"t":"say","text":"x"}',
    '{"t":"say","key":"","text":"x"}',
    '{"t":"say","key":"a b","text":"x"}',
    `{"t":"say","key":"${'k'.repeat(37)}","text":"x"}`,
    '{"t":"say","key":"k","text":["x"]}',
    '{"t":"ping","n":"1"}',
    '{"t":"__proto__"}',
  ])('does not take %s', (json) => {
    expect(() => parseRequest(json)).toThrow(BadRequest);
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
