import { CloseCode, formatCloseMessage, ProtocolError, parseCloseMessage } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { TransportError } from '../../src/index.ts';
import { closeFrameOf } from '../../src/read/message-faults.ts';

/** The frame as the peer reads it. */
function sent(code: number, faults: string[]): { code: number; reason: string } {
  const frame = closeFrameOf(new ProtocolError(code, faults));
  return parseCloseMessage(formatCloseMessage(frame.code, frame.reason));
}

describe('closeFrameOf', () => {
  it('cuts a reason at 123 bytes of UTF-8, between characters', () => {
    expect(sent(1002, ['x'.repeat(200)]).reason).toBe('x'.repeat(123));
    expect(sent(1002, ['é'.repeat(100)]).reason).toBe('é'.repeat(61));
    expect(sent(1002, [`a${'漢'.repeat(50)}`]).reason).toBe(`a${'漢'.repeat(40)}`);
    expect(sent(1002, [`abc${'😀'.repeat(40)}`]).reason).toBe(`abc${'😀'.repeat(30)}`);
    expect(sent(1002, ['\ud800'.repeat(60)]).reason).toBe('\ufffd'.repeat(41));
    expect(sent(1002, ['one', 'two']).reason).toBe('one, two');
  });

  it.each([0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 1002.5, Number.NaN])(
    'sends 1002 instead of %d, which must not be sent',
    (code) => {
      expect(sent(code, ['a fault'])).toEqual({ code: 1002, reason: 'a fault' });
    },
  );

  it('sends 1011 without a reason for another error', () => {
    const frame = closeFrameOf(new TransportError('mine'));
    expect(frame).toEqual({ code: CloseCode.InternalServerErr, reason: '' });
  });
});
