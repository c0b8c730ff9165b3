import type { FrameEncoder } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { bytes, encoderOf, flush, join, naiveFrame as naive } from '../support.ts';

// The encoder has a fast path for a small frame in a slab with room: after another frame.
describe.each(['server', 'client'] as const)('a small frame after another, as a %s', (role) => {
  const first = naive(role, 2, bytes(300));

  function begun(): FrameEncoder {
    const encoder = encoderOf(role);
    encoder.frame(2, true, 0, bytes(300));
    return encoder;
  }

  it.each([
    { says: 'a message', opcode: 2, fin: true, rsv: 0x40 },
    { says: 'the first fragment of one', opcode: 2, fin: false, rsv: 0x40 },
    { says: 'a further one', opcode: 0, fin: false, rsv: 0 },
    { says: 'a ping', opcode: 9, fin: true, rsv: 0 },
  ])('says that it is $says, and how long', ({ opcode, fin, rsv }) => {
    for (const length of [0, 1, 124, 125]) {
      const encoder = begun();
      const expected = naive(role, opcode, bytes(length), { fin, rsv });
      expect(encoder.frame(opcode, fin, rsv, bytes(length))).toBe(expected.length);
      expect(flush(encoder)).toEqual(join([first, expected]));
    }
  });

  it('releases its payload at once', () => {
    const encoder = begun();
    let released = 0;
    encoder.frame(2, true, 0, bytes(10), 0, 10, () => released++);
    expect(released).toBe(1);
    expect(flush(encoder)).toEqual(join([first, naive(role, 2, bytes(10))]));
  });

  it.each([
    { says: 'short', text: 'hello' },
    { says: 'longer', text: 'hello, hello, hello' },
    { says: 'whose header grows', text: 'é'.repeat(63) },
  ])('is a fragment of text, $says', ({ text }) => {
    for (const fin of [true, false]) {
      const encoder = begun();
      const expected = naive(role, 1, text, { fin });
      expect(encoder.text(1, fin, 0, text)).toBe(expected.length);
      expect(flush(encoder)).toEqual(join([first, expected]));
    }
  });

  it('rejects text that is not a string, of any length', () => {
    const encoder = begun();
    for (const length of [0, 1, 17]) {
      expect(() => encoder.text(1, true, 0, bytes(length) as never)).toThrow(TypeError);
    }
    expect(flush(encoder)).toEqual(first);
  });
});
