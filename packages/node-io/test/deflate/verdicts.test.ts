import { deflateWith, historyOf, inflateWith, rounds, syncDeflate } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ZlibDeflate } from '../../src/zlib-deflate.ts';

const handle = new ZlibDeflate();
const text = Buffer.from(
  '{"one": 1, "two": 22, "three": 333, "four": 4444, "five": 55555} '.repeat(4),
);

/** A compressed message for each of some levels, and one in two blocks. */
const messages = [1, 6, -2, 0].flatMap((level) => {
  const deflater = handle.deflater(level, 15);
  return [text.length, 100].map((piece) => {
    deflater.reset();
    return deflateWith(deflater, text, { pieces: [piece] }).subarray(0, -4);
  });
});

/** Packs bits as DEFLATE does: the first bit is the lowest of a byte (RFC 1951, section 3.1.1). */
function bytesOf(bits: string): Buffer {
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8));
  for (let i = 0; i < bits.length; i++) if (bits[i] === '1') bytes[i >> 3]! |= 1 << (i & 7);
  return bytes;
}

/** The bits of a number, the lowest first. */
function number(value: number, bits: number): string {
  return Array.from({ length: bits }, (_, i) => (value >> i) & 1).join('');
}

/** A block with a fixed table: `count` literals of nine bits, and the end of the block. */
function fixedBlock(count: number): string {
  return `010${'110010000'.repeat(count)}0000000`;
}

/** The order of code length codes (RFC 1951, section 3.2.7). */
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/**
 * An empty block with a dynamic table whose bits end with 16 zeros and then `ones` ones, 9 to 16.
 * The code for "3 to 10 lengths of 0" is the bit 0, and the code for a length of 1 has only ones.
 */
function blockEndingIn(ones: number): string {
  const size = (ones - 1) >> 1;
  const codeLengths = new Map([
    [17, 1],
    [0, size],
    [1, size],
  ]);
  for (let unused = 2; unused < size; unused++) codeLengths.set(unused, unused);
  const length1 = '1'.repeat(size);
  const zeros = (count: number): string => `0${number(count - 3, 3)}`;
  // With an even number, the last repetition ends with a one.
  const last = ones % 2 === 0 ? 7 : 3;
  const rest = 255 - 22 * 10 - 4 * 3 - last;
  return [
    '001',
    number(0, 5),
    number(0, 5),
    number(15, 4),
    ...CODE_LENGTH_ORDER.map((code) => number(codeLengths.get(code) ?? 0, 3)),
    length1,
    zeros(10).repeat(22),
    zeros(rest / 2).repeat(2),
    zeros(3).repeat(4),
    zeros(last),
    length1,
    length1,
    '1',
  ].join('');
}

describe('the handle of zlib and its synchronous functions', () => {
  it('agree about a message with any one byte changed', () => {
    const engines = [handle.inflater(), syncDeflate.inflater()];
    let whole = 0;
    let corrupt = 0;
    for (const message of messages) {
      for (let at = 0; at < message.length; at++) {
        for (const flip of [0x01, 0x80, 0xff]) {
          const broken = Buffer.from(message);
          broken[at]! ^= flip;
          const [one, other] = engines.map((engine) => {
            engine.reset(undefined);
            return inflateWith(engine, broken);
          });
          expect([at, flip, one!.verdict]).toEqual([at, flip, other!.verdict]);
          // An engine returns the bytes before the fault as far as it got.
          if (one!.verdict === 'whole') expect(one!.plain.equals(other!.plain)).toBe(true);
          if (one!.verdict === 'whole') whole++;
          else corrupt++;
        }
      }
    }
    expect(Math.min(whole, corrupt)).toBeGreaterThan(100);
  });

  it.each([0, 1, 2, 3, 4, 5, 6, 7])(
    'agree about an end with %i bits of a byte left over',
    (left) => {
      const literals = [0, 1, 2, 3, 4, 5, 6, 7].find(
        (n) => fixedBlock(n).length % 8 === (8 - left) % 8,
      )!;
      const block = fixedBlock(literals);
      const verdictsOf = (bits: string): string[] =>
        [handle.inflater(), syncDeflate.inflater()].map((engine) => {
          engine.reset(undefined);
          const { verdict, plain } = inflateWith(engine, bytesOf(bits));
          return verdict === 'whole' ? `${plain.length} bytes` : verdict;
        });
      // The header of the empty stored block is there.
      expect(verdictsOf(`${block}000`)).toEqual(Array(2).fill(`${literals} bytes`));
      // Without that header: three zeros that are left over have the same meaning.
      const cut = left >= 3 ? `${literals} bytes` : 'corrupt';
      expect(verdictsOf(block)).toEqual(Array(2).fill(cut));
      // The message is cut off inside a block, which the tail then ends.
      const inTail = blockEndingIn(16 - left);
      const start = [0, 1, 2, 3, 4, 5, 6, 7].find(
        (n) => (fixedBlock(n).length + inTail.length + left) % 8 === 0,
      )!;
      const all = fixedBlock(start) + inTail;
      // The functions also find that the sender has cut off more than a tail.
      const ended = left === 0 ? `${start} bytes` : 'corrupt';
      expect(verdictsOf(all.slice(0, left - 32))).toEqual([ended, 'corrupt']);
    },
  );

  it('agree about any bytes, in any pieces, before and after other messages', () => {
    const engines = [handle.inflater(), syncDeflate.inflater()];
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 70 }),
        (all, piece, room) => {
          const [one, other] = engines.map((engine) => {
            engine.reset(historyOf(text));
            const found: unknown[] = [];
            let before: Uint8Array = text;
            for (const bytes of all) {
              const portions = { pieces: [piece], rooms: [room] };
              const { verdict, plain } = inflateWith(engine, bytes, portions, before);
              found.push(verdict === 'whole' ? plain.toString('hex') : verdict);
              if (verdict !== 'whole') break;
              before = Buffer.concat([before, plain]);
            }
            return found;
          });
          expect(one).toEqual(other);
        },
      ),
      { numRuns: Number(process.env['RUNS'] ?? rounds(200, 800)) },
    );
  });

  it('inflate each other’s streams, with alternating messages', () => {
    const lines = [
      { deflater: handle.deflater(6, 12), inflater: syncDeflate.inflater() },
      { deflater: syncDeflate.deflater(6, 12), inflater: handle.inflater() },
    ];
    for (const { deflater, inflater } of lines) {
      deflater.reset();
      inflater.reset(undefined);
      const refers = deflater === lines[0]!.deflater;
      let before = Buffer.alloc(0);
      for (let i = 1; i < 200; i++) {
        const plain = Buffer.concat([text.subarray(i), Buffer.from(String(i * i))]);
        const message = deflateWith(deflater, plain).subarray(0, -4);
        expect(inflateWith(inflater, message).plain.equals(plain)).toBe(true);
        if (refers && i > 1) expect(message.length).toBeLessThan(50);
        before = Buffer.concat([before, plain]).subarray(-32_768);
        if (refers) inflater.reset(historyOf(before));
      }
    }
  });
});
