import { isUtf8 } from 'node:buffer';
import { formatCloseMessage, isValidCloseCode, ProtocolError, parseCloseMessage } from '@ws/codec';
import { codePoint } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { check } from './check.ts';

const code = fc.oneof(fc.nat(0xffff), fc.constantFrom(1000, 1001, 1005, 1006, 1015, 1000, 4999));
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 130 }),
  fc.string({ unit: codePoint, maxLength: 40 }).map((text) => Uint8Array.from(Buffer.from(text))),
);

describe('close payloads', () => {
  it('are read if code and reason are valid, and written back unchanged', () => {
    check(fc.tuple(code, bytes), 1000, ([code, reason]) => {
      const payload = Uint8Array.of(code >> 8, code & 0xff, ...reason);
      try {
        const read = parseCloseMessage(payload);
        expect(isValidCloseCode(code) && isUtf8(reason)).toBe(true);
        expect(read).toEqual({ code, reason: Buffer.from(reason).toString() });
        if (reason.length <= 123) {
          expect(formatCloseMessage(read.code, read.reason)).toEqual(payload);
        }
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        expect(error.closeCode).toBe(isValidCloseCode(code) ? 1007 : 1002);
        expect(isValidCloseCode(code) && isUtf8(reason)).toBe(false);
      }
    });
  });

  it('are written or rejected by the rules, for any reason text', () => {
    const reason = fc.string({
      unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)),
      maxLength: 60,
    });
    check(fc.tuple(code, reason), 1000, ([code, reason]) => {
      const utf8 = Buffer.from(reason);
      const fits = utf8.length <= 123 && (code === 1005 || isValidCloseCode(code));
      if (!fits) {
        expect(() => formatCloseMessage(code, reason)).toThrow(RangeError);
        return;
      }
      const payload = formatCloseMessage(code, reason);
      const expected = code === 1005 ? [] : [code >> 8, code & 0xff, ...utf8];
      expect([...payload]).toEqual(expected);
    });
  });
});
