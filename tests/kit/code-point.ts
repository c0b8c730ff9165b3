import fc from 'fast-check';

/** Any Unicode code point but half of a surrogate pair. The unit `binary` of fast-check takes 2 s to make its table. */
export const codePoint: fc.Arbitrary<string> = fc
  .nat(0x10ffff - 0x800)
  .map((n) => String.fromCodePoint(n < 0xd800 ? n : n + 0x800));
