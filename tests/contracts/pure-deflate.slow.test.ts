import { pureDeflate } from '@ws/conn';
import { nodeDeflate } from '@ws/node-io';
import { deflateContract, deflateRules } from '@ws/tests';
import { describe, it } from 'vitest';

deflateContract('the pure inflater, with deflaters of zlib', {
  inflater: () => pureDeflate.inflater(),
  deflater: (level, windowBits) => nodeDeflate.deflater(level, windowBits),
});

/** It never refers to earlier bytes, and fixed codes compress a bomb 150-fold. */
const ZLIB_ONLY = [
  'deflates Hello as in RFC 7692, section 7.2.3, with and without context',
  'fills the output with a bomb, then stops or reports that it is too long',
];

describe('the pure deflater, with inflaters of zlib and of its own,', () => {
  const rules = deflateRules.filter(({ title }) => !ZLIB_ONLY.includes(title));
  it.each(rules)('$title', ({ check }) => {
    check({
      inflater: () => nodeDeflate.inflater(),
      deflater: (level, windowBits) => pureDeflate.deflater(level, windowBits),
    });
    check(pureDeflate);
  });
});
