import { CloseCode, isValidCloseCode } from '@ws/codec';
import { describe, expect, it } from 'vitest';

describe('isValidCloseCode', () => {
  it('judges each of the 65,536 codes of two bytes', () => {
    const valid: number[] = [];
    for (let code = 0; code < 65_536; code++) if (isValidCloseCode(code)) valid.push(code);
    const standard = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    const own = Array.from({ length: 2000 }, (_, i) => 3000 + i);
    expect(valid).toEqual([...standard, ...own]);
  });

  it.each([Number.NaN, 1000.5, Number.POSITIVE_INFINITY, -1000, 1e9])('rejects %d', (code) => {
    expect(isValidCloseCode(code)).toBe(false);
  });

  it('rejects the three codes that only an API reports', () => {
    const { NoStatusReceived, AbnormalClosure, TLSHandshake, ...travelling } = CloseCode;
    expect([NoStatusReceived, AbnormalClosure, TLSHandshake].some(isValidCloseCode)).toBe(false);
    expect(Object.values(travelling).every(isValidCloseCode)).toBe(true);
  });
});
