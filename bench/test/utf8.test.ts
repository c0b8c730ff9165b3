import { describe, expect, it } from 'vitest';
import { textOf, VALIDATORS } from '../src/rivals/utf8.ts';

describe.each([...VALIDATORS])('the check of UTF-8 named %s', (_, validate) => {
  it.each([16, 128, 16_384])('knows text of %d bytes from what is none', (bytes) => {
    for (const mixed of [false, true]) {
      const text = textOf(bytes, mixed);
      expect(text.length).toBe(bytes);
      expect(validate(text)).toBe(true);
      text[bytes - 1] = 0xc3;
      expect(validate(text)).toBe(false);
    }
  });
});
