import {
  CloseCode,
  formatCloseMessage,
  isValidCloseCode,
  ProtocolError,
  parseCloseMessage,
} from '@ws/codec';
import { hex, toHex } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import { cutReason } from '../../src/close/close-payload.ts';

/** The ProtocolError that `run` throws. Without one the test fails. */
function fault(run: () => unknown): ProtocolError {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** All codes up to 5,100, and some of the larger ones, which are all invalid. */
const CODES = Array.from({ length: 65_536 }, (_, code) => code).filter(
  (code) => code < 5_100 || code % 97 === 0 || code === 65_535,
);
const payloadOf = (code: number): Uint8Array => Uint8Array.of(code >> 8, code & 0xff);

describe('formatCloseMessage', () => {
  it.each([
    { says: 'a code alone', code: 1000, reason: undefined, bytes: '03 e8' },
    { says: 'a code and a reason', code: 1001, reason: 'bye', bytes: '03 e9 62 79 65' },
    { says: 'the first code of applications', code: 3000, reason: '', bytes: '0b b8' },
    { says: 'the last one', code: 4999, reason: '', bytes: '13 87' },
    {
      says: 'two, three and four bytes a letter',
      code: 1000,
      reason: 'é€😀',
      bytes: '03 e8 c3 a9 e2 82 ac f0 9f 98 80',
    },
    {
      says: 'a lone surrogate as U+FFFD',
      code: 1000,
      reason: 'a\ud800b',
      bytes: '03 e8 61 ef bf bd 62',
    },
    { says: 'nothing for 1005', code: 1005, reason: undefined, bytes: '' },
    { says: 'nothing for 1005 with a reason', code: 1005, reason: 'lost', bytes: '' },
  ])('writes $says', ({ code, reason, bytes }) => {
    expect(toHex(formatCloseMessage(code, reason))).toBe(bytes);
  });

  it('writes a reason of 123 bytes, for any characters', () => {
    expect(formatCloseMessage(1000, 'x'.repeat(123))).toHaveLength(125);
    expect(formatCloseMessage(1000, '€'.repeat(41))).toHaveLength(125);
  });

  it.each([
    ['124 bytes', 'x'.repeat(124)],
    ['124 bytes by its last letter', `${'€'.repeat(40)}é€`],
    ['a megabyte', 'x'.repeat(1 << 20)],
  ])('rejects a reason of %s', (_, reason) => {
    expect(() => formatCloseMessage(1000, reason)).toThrow(RangeError);
  });

  it('refuses a huge reason before it is encoded', () => {
    const encode = vi.spyOn(TextEncoder.prototype, 'encode');
    expect(() => formatCloseMessage(1000, 'x'.repeat(1 << 20))).toThrow(RangeError);
    expect(encode).not.toHaveBeenCalled();
    encode.mockRestore();
  });

  it('accepts any reason with 1005, which leaves it out', () => {
    expect(formatCloseMessage(1005, 'x'.repeat(124))).toHaveLength(0);
  });

  it('rejects each code that must not be sent', () => {
    const sent: number[] = [];
    for (const code of CODES) {
      try {
        formatCloseMessage(code);
        sent.push(code);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
    }
    expect(sent).toEqual(CODES.filter((code) => code === 1005 || isValidCloseCode(code)));
  });

  it.each([Number.NaN, 1000.5, -1, 66_536])('rejects the code %d', (code) => {
    expect(() => formatCloseMessage(code)).toThrow(RangeError);
  });

  it.each([
    ['1000', '', 'code is a number, got string; the reason is the second argument'],
    [1000, null, 'reason is a string, got null'],
    [1000, hex`00`, 'reason is a string, got Uint8Array'],
    [1005, null, 'reason is a string, got null'],
  ])('rejects other types: %o, %o', (code, reason, message) => {
    expect(() => formatCloseMessage(code as never, reason as never)).toThrow(
      new TypeError(`websocket: a close ${message}`),
    );
  });
});

describe('cutReason', () => {
  it.each([
    ['x'.repeat(123), 123],
    ['x'.repeat(124), 123],
    ['€'.repeat(42), 41],
    [`xx${'😀'.repeat(31)}`, 62],
  ])('keeps the whole characters of the first 123 bytes of %s', (text, length) => {
    expect(cutReason(text)).toBe(text.slice(0, length));
  });
});

describe('parseCloseMessage', () => {
  it.each([
    undefined,
    null,
    '',
    '\x03\xe8',
    [3, 232],
    { length: 0 },
    new ArrayBuffer(2),
    new DataView(new ArrayBuffer(2)),
  ])('rejects %o, which is no Uint8Array', (payload) => {
    expect(() => parseCloseMessage(payload as never)).toThrow(
      new TypeError('payload must be a Uint8Array'),
    );
  });

  it('reads an empty payload as 1005', () => {
    expect(parseCloseMessage(hex``)).toEqual({ code: 1005, reason: '' });
  });

  it('rejects a single byte', () => {
    const error = fault(() => parseCloseMessage(hex`03`));
    expect([error.closeCode, error.message]).toEqual([
      1002,
      'websocket: close payload of one byte',
    ]);
  });

  it('reads the valid codes, and names the others', () => {
    const outcome = CODES.map((code) => {
      try {
        return parseCloseMessage(payloadOf(code)).code;
      } catch (error) {
        const { closeCode, faults } = error as ProtocolError;
        return `${closeCode} ${faults.join()}`;
      }
    });
    expect(outcome).toEqual(
      CODES.map((code) => (isValidCloseCode(code) ? code : `1002 bad close code ${code}`)),
    );
  });

  // utf8.test.ts has every other way to be invalid.
  it.each([
    ['a surrogate', 'ed a0 80'],
    ['a letter cut short', 'e2 82'],
  ])('rejects a reason with %s', (_, bytes) => {
    const error = fault(() => parseCloseMessage(hex(`03 e8 61 ${bytes}`)));
    expect(error.closeCode).toBe(1007);
    expect(error.code).toBe('WS_ERR_INVALID_UTF8');
    expect(error.faults).toEqual(['invalid utf8 payload in close frame']);
  });

  it('names the code first when the reason is bad too', () => {
    expect(fault(() => parseCloseMessage(hex`03 ed ff`)).faults).toEqual(['bad close code 1005']);
  });

  it('keeps a byte order mark', () => {
    expect(parseCloseMessage(hex`03 e8 ef bb bf`).reason).toBe('\ufeff');
  });

  it.each([
    '\0',
    '\x7f',
    '\x80',
    '\u07ff',
    '\u0800',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '😀',
    '\u{10ffff}',
  ])(
    'reads %j between others, also from shared memory, and does not change the payload',
    (char) => {
      const payload = formatCloseMessage(1000, `a${char}b`);
      const shared = new Uint8Array(new SharedArrayBuffer(payload.length));
      shared.set(payload);
      for (const bytes of [payload, shared, Buffer.from(payload)]) {
        expect(parseCloseMessage(bytes).reason).toBe(`a${char}b`);
        expect(toHex(bytes)).toBe(toHex(payload));
      }
    },
  );
});

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
