import { isUtf8 } from 'node:buffer';
import { TextEncoder } from 'node:util';
import {
  codePoint,
  hex,
  NaiveDecoder,
  naiveDecode,
  naiveEncode,
  naiveUtf8,
  toHex,
} from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const hello = hex`48 65 6c 6c 6f`;

describe('hex', () => {
  it('reads bytes as the RFC prints them', () => {
    expect(hex`81 05${'00'} fF`).toEqual(Uint8Array.of(0x81, 5, 0, 255));
    expect(hex('8100')).toEqual(Uint8Array.of(0x81, 0));
    expect(toHex(hex`81 00`)).toBe('81 00');
  });

  it.each(['8', 'zz', '0x81'])('rejects %j', (text) => {
    expect(() => hex(text)).toThrow(SyntaxError);
  });
});

describe('the naive codec', () => {
  // RFC 6455, section 5.7.
  it.each([
    ['81 05 48 65 6c 6c 6f', naiveEncode(1, hello)],
    ['81 85 37 fa 21 3d 7f 9f 4d 51 58', naiveEncode(1, hello, { mask: 0x37fa213d })],
    ['01 03 48 65 6c', naiveEncode(1, hello.subarray(0, 3), { fin: false })],
    ['89 05 48 65 6c 6c 6f', naiveEncode(9, hello)],
    ['82 7e 01 00', naiveEncode(2, new Uint8Array(256)).subarray(0, 4)],
    ['82 7f 00 00 00 00 00 01 00 00', naiveEncode(2, new Uint8Array(65_536)).subarray(0, 10)],
  ])('encodes %s as RFC 6455 does', (wire, bytes) => {
    expect(toHex(bytes)).toBe(wire);
  });

  it.each([0, 1, 125, 126, 65_535, 65_536])('reads back a payload of %i bytes', (length) => {
    const payload = new Uint8Array(length).map((_, i) => i * 7);
    const wire = naiveEncode(2, payload, { mask: hex`01020304` });
    const { frames } = naiveDecode(wire, 'server');
    expect(frames).toMatchObject([{ opcode: 2, fin: true, rsv: 0, size: wire.length }]);
    expect(Buffer.compare(frames[0]!.payload, payload)).toBe(0);
  });

  it.each([
    ['bytes f1 and 00', hex`f1 00`, 1002, ['RSV1 set', 'RSV2 set', 'RSV3 set', 'bad MASK']],
    ['bytes 08 fe', hex`08 fe`, 1002, ['len > 125 for control', 'FIN not set on control']],
    ['a continuation of nothing', hex`80 80`, 1002, ['continuation after FIN']],
    ['opcode 11', hex`8b 80`, 1002, ['bad opcode 11']],
    ['a text inside a text', hex`01 80 00000000 81 80`, 1002, ['data before FIN']],
    ['a 16-bit length of 125', hex`82 fe 00 7d`, 1002, ['non-minimal length']],
    ['a 64-bit length of 65535', hex`82 ff 00000000 0000`, 1002, ['non-minimal length']],
    ['the top bit of a length', hex`82 ff 80`, 1002, ['length with top bit set']],
    ['a length of 2^53', hex`82 ff 00 20`, 1009, ['length of 2^53 or more']],
    ['a length of 2^62 at its first byte', hex`82 ff 40`, 1009, ['length of 2^53 or more']],
  ])('rejects %s', (_, bytes, closeCode, faults) => {
    const whole = naiveDecode(bytes, 'server');
    expect(whole.failure).toEqual({ closeCode, faults });
    const before = naiveDecode(bytes.subarray(0, -1), 'server');
    expect(before.failure).toBeUndefined();
  });

  it('checks the role, the RSV bits and the payload limit', () => {
    expect(naiveDecode(hex`81 80 00000000`, 'client').failure?.faults).toEqual(['bad MASK']);
    expect(naiveDecode(hex`c1 00`, 'client', { allowedRsv: 0x40 }).frames).toHaveLength(1);
    expect(naiveDecode(hex`41 00 c0 00`, 'client', { allowedRsv: 0x40 }).failure?.faults).toEqual([
      'RSV1 set',
    ]);
    expect(naiveDecode(hex`82 05`, 'client', { maxFramePayload: 4 }).failure?.closeCode).toBe(1009);
    expect(naiveDecode(hex`82 7e 01`, 'client', { maxFramePayload: 255 }).failure?.faults).toEqual([
      'frame over the limit of 255 bytes',
    ]);
    expect(naiveDecode(hex`89 01 00`, 'client', { maxFramePayload: 0 }).frames).toHaveLength(1);
  });

  it('counts the bytes of an incomplete frame', () => {
    const decoder = new NaiveDecoder('client');
    decoder.push(hex`81 00 82`);
    expect([decoder.frames.length, decoder.held]).toEqual([1, 1]);
  });
});

describe('naiveUtf8', () => {
  const raw = fc.uint8Array({ maxLength: 12 });
  const text = fc.string({ unit: codePoint }).map((s) => new TextEncoder().encode(s));

  it("agrees with Node's isUtf8 on complete texts", () => {
    fc.assert(
      fc.property(fc.oneof(raw, text), (bytes) => {
        expect(naiveUtf8(bytes) === 'whole').toBe(isUtf8(bytes));
      }),
    );
  });

  it.each([
    ['c3', 'cut'],
    ['c0', 'bad'],
    ['e0 80', 'bad'],
    ['e0 a0', 'cut'],
    ['ed a0', 'bad'],
    ['ed 9f', 'cut'],
    ['f0 8f', 'bad'],
    ['f4 90', 'bad'],
    ['f4 8f bf', 'cut'],
    ['f5', 'bad'],
    ['80', 'bad'],
    ['61 c3 28', 'bad'],
  ])('calls %s %s', (bytes, verdict) => {
    expect(naiveUtf8(hex(bytes))).toBe(verdict);
  });
});
