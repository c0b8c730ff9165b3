import type { Role } from '@ws/codec';
import { hex } from '@ws/tests';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { compareDecoders, type DecoderSetup } from '../oracles/frame-decoder.ts';
import { brokenInputs, check } from './check.ts';
import { chunksOf, cuts, stream } from './streams.ts';

const setup: fc.Arbitrary<DecoderSetup> = fc.record({
  role: fc.constantFrom<Role>('server', 'client'),
  allowedRsv: fc.constantFrom(0, 0x40, 0x70),
  maxFramePayload: fc.oneof(
    { weight: 4, arbitrary: fc.constant(Infinity) },
    fc.constantFrom(0, 125, 126, 4096, 65_535, 65_536),
    fc.nat(300),
  ),
  holdLimit: fc.constantFrom(4112, 0, 1, 125, 1000),
  readBufferSize: fc.constantFrom(4096, 1, 16, 65_536),
  simd: fc.boolean(),
  pushes: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
});

const plain: DecoderSetup = {
  role: 'server',
  allowedRsv: 0,
  maxFramePayload: Infinity,
  holdLimit: 4112,
  readBufferSize: 4096,
  simd: true,
  pushes: [true],
};

function compare(bytes: Uint8Array, lengths: readonly number[], setup: DecoderSetup): void {
  compareDecoders(chunksOf(bytes, lengths), setup);
}

describe('FrameDecoder', () => {
  it('agrees with the naive decoder for any frames, cuts and options', () => {
    check(fc.tuple(stream, cuts, setup), 250, ([{ masked, unmasked }, lengths, setup]) => {
      compare(setup.role === 'server' ? masked : unmasked, lengths, setup);
    });
  });

  it('agrees with the naive decoder for random bytes', () => {
    check(fc.tuple(fc.uint8Array(), cuts, setup), 500, ([bytes, lengths, setup]) => {
      compare(bytes, lengths, setup);
    });
  });

  it.each(brokenInputs('frame-stream'))(
    'agrees with the naive decoder for a past fault: $name',
    ({ text }) => {
      const bytes = hex(text);
      for (let cut = 1; cut <= bytes.length; cut++) {
        compare(bytes, [cut, bytes.length], plain);
        compare(bytes, [cut], { ...plain, pushes: [false] });
      }
    },
  );
});
