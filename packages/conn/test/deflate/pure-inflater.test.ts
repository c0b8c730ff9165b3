import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { hex, inflateWith } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PureInflater } from '../../src/deflate/pure-inflater.ts';

function inflater(): PureInflater {
  const engine = new PureInflater();
  engine.limit = Infinity;
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

  it('forgets a message after a reset', () => {
    const engine = inflater();
    expect(inflateWith(engine, hex('f2 48 cd c9 c9 07 00')).plain.toString()).toBe('Hello');
    engine.reset(undefined);
    expect(inflateWith(engine, hex('f2 00 11 00 00')).verdict).toBe('corrupt');
    expect(inflateWith(engine, hex('f2 48 cd c9 c9 07 00')).verdict).toBe('corrupt');
  });
});
