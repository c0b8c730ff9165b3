import { isUtf8 } from 'node:buffer';
import { UTF8_ACCEPT, UTF8_REJECT, unmask, utf8Step } from '@ws/codec';
import { hex, naiveMask, naiveUtf8 } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { check } from './check.ts';

/** UTF-8 pieces: characters of each length, and invalid sequences. */
const shard = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('61', 'c3a9', 'e282ac', 'f09f9880', '00', '7f') },
  { weight: 2, arbitrary: fc.nat(200).map((n) => '61'.repeat(n)) },
  { weight: 2, arbitrary: fc.nat(80).map((n) => 'e6bca2'.repeat(n)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('c3', 'e282', 'f09f98', '80', 'eda080', 'c0af', 'f4908080', 'ff'),
  },
);
const text = fc.oneof(
  { weight: 4, arbitrary: fc.array(shard, { maxLength: 12 }).map((all) => hex(all.join(''))) },
  fc.uint8Array({ maxLength: 200 }),
);

describe('utf8Step', () => {
  it.each([
    ['without the platform', undefined],
    ["with the platform's check", isUtf8],
  ])('agrees with the definition of UTF-8 at each cut, %s', (_, platform) => {
    const cuts = fc.array(fc.nat(90), { maxLength: 8 });
    check(fc.tuple(text, cuts), 1000, ([bytes, cuts]) => {
      let state = UTF8_ACCEPT;
      let at = 0;
      for (const length of [...cuts, bytes.length]) {
        const end = Math.min(bytes.length, at + length);
        state = utf8Step(state, bytes, at, end, platform);
        at = end;
        const verdict = naiveUtf8(bytes.subarray(0, at));
        expect(state === UTF8_ACCEPT).toBe(verdict === 'whole');
        expect(state === UTF8_REJECT).toBe(verdict === 'bad');
      }
      expect(state === UTF8_ACCEPT).toBe(isUtf8(bytes));
    });
  });
});

describe('unmask', () => {
  it('agrees with the byte loop in any pieces, and writes no other byte', () => {
    const length = fc.oneof(fc.nat(300), fc.nat(5000), fc.integer({ min: 65_000, max: 70_000 }));
    const input = fc.record({
      length,
      offset: fc.nat(70),
      key: fc.integer(),
      cuts: fc.array(fc.nat(2000), { maxLength: 4 }),
    });
    check(input, 250, ({ length, offset, key, cuts }) => {
      const plain = new Uint8Array(length).map((_, i) => i * 31);
      const memory = new Uint8Array(offset + length + 9).fill(0xdb);
      const bytes = memory.subarray(1);
      const end = offset + length;
      bytes.set(plain, offset);
      let at = offset;
      let rest = key;
      for (const piece of [...cuts, length]) {
        const to = Math.min(end, at + piece);
        rest = unmask(bytes, at, to, rest);
        at = to;
      }
      expect(Buffer.compare(bytes.subarray(offset, end), naiveMask(plain, key))).toBe(0);
      const around = [...memory.subarray(0, offset + 1), ...memory.subarray(end + 1)];
      expect(around.every((byte) => byte === 0xdb)).toBe(true);
    });
  });
});
