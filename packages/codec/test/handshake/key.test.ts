import { createHash } from 'node:crypto';
import { acceptKey, isWebSocketKey } from '@ws/codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha1 } from '../../src/handshake/key.ts';

describe('acceptKey', () => {
  it('answers the key of RFC 6455, section 1.3', () => {
    expect(acceptKey('dGhlIHNhbXBsZSBub25jZQ==')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  });

  it('equals node:crypto for every text', () => {
    const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
    fc.assert(
      fc.property(fc.array(fc.nat(0xffff), { maxLength: 60 }), (units) => {
        const key = String.fromCharCode(...units);
        const hash = createHash('sha1').update(key + guid);
        expect(acceptKey(key)).toBe(hash.digest('base64'));
      }),
    );
  });

  it('throws a TypeError for a key that is not a string', () => {
    expect(() => acceptKey(undefined as never)).toThrow(TypeError);
  });
});

describe('sha1', () => {
  it.each([0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 1000])('hashes %d bytes', (length) => {
    const bytes = new Uint8Array(length).map((_, i) => i * 7 + length);
    expect(Buffer.from(sha1(bytes))).toEqual(createHash('sha1').update(bytes).digest());
  });
});

describe('isWebSocketKey', () => {
  it.each([
    ['the example of section 1.2', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['the example of section 4.1, which has spare bits', 'AQIDBAUGBwgJCgsMDQ4PEC=='],
    ['all spare bits set', 'dGhlIHNhbXBsZSBub25jZf=='],
  ])('accepts %s', (_, key) => {
    expect(isWebSocketKey(key)).toBe(true);
  });

  it.each([
    ['15 bytes', btoa('x'.repeat(15))],
    ['17 bytes', btoa('x'.repeat(17))],
    ['nothing', ''],
    ['no padding', 'dGhlIHNhbXBsZSBub25jZQ'],
    ['half the padding', 'dGhlIHNhbXBsZSBub25jZQ='],
    ['the alphabet of URLs', 'dGhlIHNhbXBsZSBub2-_ZQ=='],
    ['a space in front', ' dGhlIHNhbXBsZSBub25jZQ=='],
    ['a line break behind', 'dGhlIHNhbXBsZSBub25jZQ==\n'],
    ['padding in the middle', 'dGhlIHNhbXBsZSBub25j=Q=='],
  ])('rejects %s', (_, key) => {
    expect(isWebSocketKey(key)).toBe(false);
  });
});
