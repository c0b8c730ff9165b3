import { isWebSocketKey } from '@ws/codec';
import { describe, expect, it } from 'vitest';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

describe('isWebSocketKey', () => {
  it.each([
    ['the example of section 1.2', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['the example of section 4.1, which has spare bits', 'AQIDBAUGBwgJCgsMDQ4PEC=='],
    ['all spare bits set', 'dGhlIHNhbXBsZSBub25jZf=='],
  ])('accepts %s', (_, key) => {
    expect(isWebSocketKey(key)).toBe(true);
  });

  it.each([
    ['15 bytes', base64(new Uint8Array(15))],
    ['17 bytes', base64(new Uint8Array(17))],
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
