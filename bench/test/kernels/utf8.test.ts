import { describe, expect, it } from 'vitest';
import { textOf, VALIDATORS } from '../../src/kernels/utf8.ts';

describe.each([...VALIDATORS])('the UTF-8 check %s', (_, validate) => {
  it.each([16, 128, 16_384])(
    'accepts valid text of %d bytes and rejects a truncated character',
    (bytes) => {
      for (const mixed of [false, true]) {
        const text = textOf(bytes, mixed);
        expect(text.length).toBe(bytes);
        expect(validate(text)).toBe(true);
        text[bytes - 1] = 0xc3;
        expect(validate(text)).toBe(false);
      }
    },
  );
});
