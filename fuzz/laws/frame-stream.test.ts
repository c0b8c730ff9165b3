import type { Role } from '@ws/codec';
import { hex } from '@ws/testkit';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { compareDecoders, type Setting } from '../judges/frames.ts';
import { check, corpus } from './check.ts';
import { chunksOf, cuts, stream } from './streams.ts';

const setting: fc.Arbitrary<Setting> = fc.record({
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
  assemble: fc.constantFrom(0, 7, 100, 5000, 100_000),
  pushes: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
});

const plain: Setting = {
  role: 'server',
  allowedRsv: 0,
  maxFramePayload: Infinity,
  holdLimit: 4112,
  readBufferSize: 4096,
  simd: true,
  assemble: 0,
  pushes: [true],
};

/** Feeds both decoders chunk by chunk; they must have seen the same at the end of each. */
function compare(bytes: Uint8Array, lengths: readonly number[], setting: Setting): void {
  compareDecoders(chunksOf(bytes, lengths), setting);
}

describe('FrameDecoder', () => {
  it('sees what the naive decoder sees, whatever the bytes, the cuts and the settings', () => {
    check(fc.tuple(stream, cuts, setting), 500, ([{ masked, unmasked }, lengths, setting]) => {
      compare(setting.role === 'server' ? masked : unmasked, lengths, setting);
    });
  });

  it('sees what the naive decoder sees in pure noise', () => {
    check(fc.tuple(fc.uint8Array(), cuts, setting), 1000, ([bytes, lengths, setting]) => {
      compare(bytes, lengths, setting);
    });
  });

  it.each(corpus('frame-stream'))('still reads: $says', ({ text }) => {
    const bytes = hex(text);
    for (let cut = 1; cut <= bytes.length; cut++) {
      compare(bytes, [cut, bytes.length], plain);
      compare(bytes, [cut], { ...plain, pushes: [false] });
    }
  });
});
