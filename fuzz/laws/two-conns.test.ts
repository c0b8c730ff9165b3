import fc from 'fast-check';
import { describe, it } from 'vitest';
import { type Command, DEEDS, type End, type Stage } from '../model/commands.ts';
import { play } from '../model/play.ts';
import { checkAsync, unhurried } from './check.ts';

const wire = fc.record({
  cuts: fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 65_536 })), {
    minLength: 1,
    maxLength: 4,
  }),
  stalls: fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }),
  highWaterMark: fc.oneof(fc.nat(2_000), fc.constant(65_536)),
});

const stage: fc.Arbitrary<Stage> = fc.record({
  wires: fc.tuple(wire, wire),
  readAhead: fc.constantFrom(100, 5_000, 65_536),
  highWaterMark: fc.constantFrom(1_000, 65_536, 1_000_000),
  maxBufferedAmount: fc.constantFrom<number | false>(false, 300, 20_000),
  writeBufferSize: fc.constantFrom(10, 1_000, 4_096),
});

const size = fc.oneof(fc.nat(200), fc.nat(70_000));
const end = fc.constantFrom<End>(0, 1);
const often = fc.record({ deed: fc.constantFrom(...DEEDS.slice(0, -3)), end, size });
/** What ends it all. */
const last = fc.record({ deed: fc.constantFrom(...DEEDS.slice(-3)), end, size });
const commands: fc.Arbitrary<Command[]> = fc
  .tuple(
    fc.array(often, { maxLength: 30 }),
    fc.array(last, { maxLength: 2 }),
    fc.array(often, { maxLength: 6 }),
  )
  .map((parts) => parts.flat());

describe('two Conns under random commands', () => {
  it('come to what the model says, and leave nothing behind', unhurried, async () => {
    await checkAsync(fc.tuple(stage, commands), 100, ([stage, commands]) => play(stage, commands));
  });
});
