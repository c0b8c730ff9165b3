import { describe, expect, it } from 'vitest';
import { isToken, Scanner } from '../../src/handshake/scanner.ts';

describe('Scanner', () => {
  it('walks over a text from left to right', () => {
    const scan = new Scanner('a \t; b="c,\\"d"');
    expect(scan.token()).toBe('a');
    expect(scan.token()).toBeUndefined();
    scan.space();
    expect(scan.take(',')).toBe(false);
    expect(scan.sees(';')).toBe(true);
    expect(scan.take(';')).toBe(true);
    expect(scan.sees(';')).toBe(false);
    scan.space();
    expect(scan.token()).toBe('b');
    expect([scan.take('='), scan.take('"')]).toEqual([true, true]);
    expect(scan.done).toBe(false);
    expect(scan.quoted()).toBe('c,"d');
    expect(scan.done).toBe(true);
    expect(scan.token()).toBeUndefined();
  });

  it('skips only the space and the tab', () => {
    const scan = new Scanner('\n\u00a0a');
    scan.space();
    expect(scan.sees('\n')).toBe(true);
  });

  it.each(['', 'a', 'a\\"', 'a\\'])('rejects a quoted string that is not closed: %j', (text) => {
    expect(new Scanner(text).quoted()).toBeUndefined();
  });

  it.each([
    ['"', ''],
    ['\\\\"', '\\'],
    ['\\a"', 'a'],
  ])('reads the quoted text of %j', (text, content) => {
    expect(new Scanner(text).quoted()).toBe(content);
  });
});

describe('isToken', () => {
  it('accepts the characters of RFC 9110, section 5.6.2, and no others', () => {
    const all = Array.from({ length: 0x200 }, (_, code) => String.fromCharCode(code));
    const tokens = all.filter((char) => isToken(char)).join('');
    expect(tokens).toBe(
      "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~",
    );
  });

  it.each(['', ' a', 'a ', 'a b', 'a,b', 'a\n'])('rejects %j', (text) => {
    expect(isToken(text)).toBe(false);
  });
});
