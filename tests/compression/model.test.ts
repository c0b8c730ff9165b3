// Random settings and commands on two connected ends. tests/chaos splits and delays the bytes.
import { type CompressionOptions, connPair } from '@ws/conn';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { nothingLeft, Random } from '../kit/index.ts';
import { BACKENDS, CountingSource, platformOn, SIZES } from './support.ts';
import { Traffic } from './traffic.ts';

/** Small sizes, so that most messages are small. */
const SMALL = Array.from({ length: 60 }, (_, i) => (i < 35 ? i * 9 : i * 80));

const anyCompression: fc.Arbitrary<CompressionOptions> = fc.record({
  mode: fc.constantFrom('shared' as const, 'takeover' as const),
  level: fc.integer({ min: -2, max: 9 }),
  threshold: fc.constantFrom(0, 100, 256),
  clientMaxWindowBits: fc.integer({ min: 8, max: 15 }),
  maxBytes: fc.constantFrom<number | false>(false, 0, 1000, 32_768),
});

describe.each(BACKENDS)('two ends that compress on %s', (backend) => {
  nothingLeft();

  it('deliver every message, for random commands', async () => {
    const platform = platformOn(new CountingSource(backend));
    await fc.assert(
      fc.asyncProperty(
        anyCompression,
        fc.integer({ min: 1, max: 25 }),
        fc.nat(),
        async (compression, steps, seed) => {
          const random = new Random(seed);
          const ends = connPair({ platform, compression, maxBufferedAmount: false });
          await new Traffic(random, [ends], [...SIZES, ...SMALL]).run(steps);
          await ends[seed % 2]!.close();
          await Promise.all(ends.map(({ closed }) => closed));
        },
      ),
      { numRuns: Number(process.env['RUNS'] ?? 15) },
    );
  });
});
