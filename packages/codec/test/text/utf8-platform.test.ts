import { isUtf8 } from 'node:buffer';
import { UTF8_ACCEPT, utf8Step } from '@ws/codec';
import { describe, expect, it } from 'vitest';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Bytes of each call of the platform's check. */
function asked(text: string, cut = 0): number[] {
  const sizes: number[] = [];
  const platform = (bytes: Uint8Array): boolean => {
    sizes.push(bytes.length);
    return isUtf8(bytes);
  };
  const bytes = Uint8Array.of(0xff, ...utf8(text), 0xff);
  const end = bytes.length - 1;
  const state = utf8Step(UTF8_ACCEPT, bytes, 1, 1 + cut, platform);
  expect(utf8Step(state, bytes, 1 + cut, end, platform)).toBe(UTF8_ACCEPT);
  return sizes;
}

describe("the platform's check", () => {
  it.each([
    { says: 'nothing of ASCII of 64 bytes', text: 'a'.repeat(64), sizes: [] },
    { says: 'nothing of ASCII of 144 bytes', text: 'a'.repeat(144), sizes: [] },
    { says: 'all but the last of more', text: 'a'.repeat(145), sizes: [144] },
    { says: 'nothing of less than 64 bytes', text: `a${'é'.repeat(31)}`, sizes: [] },
    { says: 'all but the last of 64 bytes', text: 'é'.repeat(32), sizes: [62] },
    { says: 'what begins with no ASCII', text: 'a'.repeat(72) + 'é'.repeat(36), sizes: [70] },
    { says: 'nothing where little does', text: 'a'.repeat(64) + 'é'.repeat(20), sizes: [] },
    { says: 'all that ends with four bytes', text: `${'é'.repeat(40)}😀`, sizes: [84] },
  ])('is called for $says', ({ text, sizes }) => {
    expect(asked(text)).toEqual(sizes);
  });

  it('is called for the bytes after a character that began in the piece before', () => {
    expect(asked(`語${'é'.repeat(40)}`, 1)).toEqual([78]);
  });
});
