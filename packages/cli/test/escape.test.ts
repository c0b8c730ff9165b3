import { describe, expect, it } from 'vitest';
import { colorJson, escapeControls, excerpt } from '../src/escape.ts';

describe('escapeControls', () => {
  it('keeps text, line breaks and tabs', () => {
    expect(escapeControls('a\tb\ngrüße 🌍')).toBe('a\tb\ngrüße 🌍');
  });

  it.each([
    ['\u001b]0;title\u0007', '\\u001b]0;title\\u0007'],
    ['\u009b31m', '\\u009b31m'],
    ['a\rb', 'a\\u000db'],
    ['\u0000\u007f', '\\u0000\\u007f'],
    ['\u202eevil\u2066', '\\u202eevil\\u2066'],
    ['\u2028', '\\u2028'],
  ])('escapes what a terminal obeys: %j', (text, escaped) => {
    expect(escapeControls(text)).toBe(escaped);
  });
});

describe('excerpt', () => {
  it('has one line of the given length', () => {
    expect(excerpt('a\nb\u001b', 10)).toBe('a\\nb\\u001b');
    expect(excerpt('x'.repeat(11), 10)).toBe(`${'x'.repeat(10)}…`);
  });
});

describe('colorJson', () => {
  const plain = (text: string): string => text.replace(/\u001b\[\d+m/g, '');

  it('colours keys, strings, numbers and words, and changes no character', () => {
    const text = '{"a\\"": [1, -2.5e+3, true, null, "x: 1"], "b" : {}}';
    const colored = colorJson(text);
    expect(plain(colored)).toBe(text);
    expect(colored).toContain('\u001b[36m"a\\""\u001b[39m:');
    expect(colored).toContain('\u001b[33m-2.5e+3\u001b[39m');
    expect(colored).toContain('\u001b[35mtrue\u001b[39m');
    expect(colored).toContain('\u001b[32m"x: 1"\u001b[39m');
  });

  it.each(['hello', '{broken', '"text"', '12', ''])('leaves %j as it is', (text) => {
    expect(colorJson(text)).toBe(text);
  });
});
