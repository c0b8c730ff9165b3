import { encodeFrame } from '@ws/codec';
import { hex, naiveEncode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { bytes } from '../support.ts';

describe('encodeFrame', () => {
  it.each([0, 1, 125, 126, 127, 65535, 65536])('equals the naive encoder at %d bytes', (length) => {
    const payload = bytes(length);
    const plain = encodeFrame(2, payload);
    expect(Buffer.compare(plain, naiveEncode(2, payload))).toBe(0);
    const masked = encodeFrame(0, payload, { fin: false, rsv: 0x70, maskKey: -2 });
    const naive = naiveEncode(0, payload, { fin: false, rsv: 0x70, mask: -2 });
    expect(Buffer.compare(masked, naive)).toBe(0);
    expect(Buffer.compare(payload, bytes(length))).toBe(0);
    expect(plain.buffer.byteLength).toBe(plain.length);
  });

  it('masks with the key 0', () => {
    expect(encodeFrame(1, hex`41`, { maskKey: 0 })).toEqual(hex`81 81 00000000 41`);
  });

  it('rejects invalid arguments', () => {
    expect(() => encodeFrame(16, bytes(1))).toThrow(RangeError);
    expect(() => encodeFrame(1, bytes(1), { rsv: 7 })).toThrow(RangeError);
    expect(() => encodeFrame(1, 'x' as never)).toThrow(
      new TypeError('payload must be a Uint8Array'),
    );
    expect(() => encodeFrame(1, bytes(1), { maskKey: 'x' as never })).toThrow(TypeError);
    expect(() => encodeFrame(1, bytes(1), { maskKey: null as never })).toThrow(TypeError);
    expect(() => encodeFrame(1, bytes(1), { maskKey: 1.5 })).toThrow(RangeError);
    expect(() => encodeFrame(1, bytes(1), { maskKey: 2 ** 32 })).toThrow(RangeError);
  });
});
