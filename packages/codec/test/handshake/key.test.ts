import { isWebSocketKey } from '@ws/codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

describe('isWebSocketKey', () => {
  it('accepts the key of the RFC', () => {
    expect(isWebSocketKey('dGhlIHNhbXBsZSBub25jZQ==')).toBe(true);
  });

  it.each([
    ['15 bytes', base64(new Uint8Array(15))],
    ['17 bytes', base64(new Uint8Array(17))],
    ['nothing', ''],
    ['no padding', 'dGhlIHNhbXBsZSBub25jZQ'],
    ['half the padding', 'dGhlIHNhbXBsZSBub25jZQ='],
    ['stray bits', 'dGhlIHNhbXBsZSBub25jZR=='],
    ['the alphabet of URLs', 'dGhlIHNhbXBsZSBub2-_ZQ=='],
    ['a space in front', ' dGhlIHNhbXBsZSBub25jZQ=='],
    ['a line break behind', 'dGhlIHNhbXBsZSBub25jZQ==\n'],
    ['padding in the middle', 'dGhlIHNhbXBsZSBub25j=Q=='],
  ])('rejects %s', (_, key) => {
    expect(isWebSocketKey(key)).toBe(false);
  });

  it('accepts the canonical text of 16 bytes and no other text for them', () => {
    const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(fc.property(bytes, (key) => isWebSocketKey(base64(key))));
    const lookalike = fc.stringMatching(/^[A-Za-z0-9+/]{22}==$/);
    fc.assert(
      fc.property(lookalike, (key) => {
        expect(isWebSocketKey(key)).toBe(base64(Buffer.from(key, 'base64')) === key);
      }),
    );
  });
});
