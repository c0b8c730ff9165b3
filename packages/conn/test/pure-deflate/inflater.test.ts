import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { hex, inflateWith } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PureInflater } from '../../src/pure-deflate/inflater.ts';

function inflater(): PureInflater {
  const engine = new PureInflater();
  engine.reset(undefined);
  return engine;
}

/** A message of zlib with one bit changed, and its bytes; undefined when zlib rejects it. */
const anyDamage = fc
  .record({
    plain: fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.constantFrom(1, 2, 3, 200), { maxLength: 600 }).map((list) => Buffer.from(list)),
    ),
    level: fc.integer({ min: 0, max: 9 }),
    strategy: fc.constantFrom(
      constants.Z_DEFAULT_STRATEGY,
      constants.Z_HUFFMAN_ONLY,
      constants.Z_FIXED,
    ),
    at: fc.nat(),
    flip: fc.nat(7),
  })
  .map(({ plain, level, strategy, at, flip }) => {
    const finishFlush = constants.Z_SYNC_FLUSH;
    const stream = deflateRawSync(plain, { level, strategy, finishFlush });
    if (stream.length > 4) stream[at % (stream.length - 4)]! ^= 1 << flip;
    return stream;
  });

describe('PureInflater', () => {
  it('gives the bytes that zlib gives for damaged data, or none', () => {
    let whole = 0;
    fc.assert(
      fc.property(anyDamage, fc.integer({ min: 1, max: 50 }), (stream, room) => {
        const { verdict, plain } = inflateWith(inflater(), stream.subarray(0, -4), {
          pieces: [room],
          rooms: [room],
        });
        if (verdict !== 'whole') return;
        whole++;
        const finishFlush = constants.Z_SYNC_FLUSH;
        expect(inflateRawSync(stream, { finishFlush }).subarray(0, plain.length)).toEqual(plain);
      }),
      { numRuns: 1000 },
    );
    expect(whole).toBeGreaterThan(50);
  });

  it.each([
    ['a block of type 3', '07'],
    ['a stored block whose sizes differ', '00 01 00 fe fe 61'],
    ['more than 286 codes for literals', 'fc 00 00 00 00 00 00 00 00 00 00 00 00 00 00'],
    ['more than 30 codes for distances', '04 1f 00 00 00 00 00 00 00 00 00 00 00 00 00'],
    ['a distance beyond the first byte', 'f2 00 11 00 00'],
    ['length symbol 286', '1b 03 00'],
    ['no end of the last block', 'f2 48'],
    ['a block without its empty stored block', '02'],
    ['a tail that was sent', '00 00 00 ff ff'],
  ])('rejects %s', (_, bytes) => {
    expect(inflateWith(inflater(), hex(bytes)).verdict).toBe('corrupt');
    expect(inflateWith(inflater(), hex(bytes), { pieces: [1] }).verdict).toBe('corrupt');
  });

  it('counts the cost of codes that a block has built, also without output', () => {
    const engine = inflater();
    const output = new Uint8Array(5_000);
    const cost = (input: Uint8Array): number => {
      engine.reset(undefined);
      expect(engine.write(input, 0, input.length, false, output, 0, output.length)).toBe(0);
      return engine.extraCost;
    };
    // Two blocks with codes of their own, for nothing but the end of the block.
    const empty = hex('04c0810800000000207feb43001c880000000000f2b73e');
    expect(cost(empty)).toBe(2_048);
    expect(cost(Buffer.concat(Array<Uint8Array>(50).fill(empty)))).toBe(102_400);
    // Few values and no repetition: zlib builds codes of its own.
    const text = Buffer.from(
      Array.from({ length: 900 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 27),
    );
    const finishFlush = constants.Z_SYNC_FLUSH;
    expect(cost(deflateRawSync(text, { finishFlush }))).toBe(1_024);
    expect(cost(deflateRawSync(text, { finishFlush, strategy: constants.Z_FIXED }))).toBe(0);
    expect(cost(deflateRawSync(text, { finishFlush, level: 0 }))).toBe(0);
  });

  it('forgets a message after a reset', () => {
    const engine = inflater();
    expect(inflateWith(engine, hex('f2 48 cd c9 c9 07 00')).plain.toString()).toBe('Hello');
    engine.reset(undefined);
    expect(inflateWith(engine, hex('f2 00 11 00 00')).verdict).toBe('corrupt');
    expect(inflateWith(engine, hex('f2 48 cd c9 c9 07 00')).verdict).toBe('corrupt');
  });
});
