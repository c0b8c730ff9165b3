import fc from 'fast-check';
import { describe, it } from 'vitest';
import { ACTIONS, type Command, type End, type Setup } from '../model/commands.ts';
import { runCommands } from '../model/run-commands.ts';
import { checkAsync, longTimeout } from './check.ts';

const transport = fc.record({
  cuts: fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 65_536 })), {
    minLength: 1,
    maxLength: 4,
  }),
  stalls: fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }),
  highWaterMark: fc.oneof(fc.nat(2_000), fc.constant(65_536)),
});

const setup: fc.Arbitrary<Setup> = fc.record({
  transports: fc.tuple(transport, transport),
  readAhead: fc.constantFrom(100, 5_000, 65_536),
  highWaterMark: fc.constantFrom(1_000, 65_536, 1_000_000),
  maxBufferedAmount: fc.constantFrom<number | false>(false, 300, 20_000),
  writeBufferSize: fc.constantFrom(10, 1_000, 4_096),
});

const size = fc.oneof(fc.nat(200), fc.nat(70_000));
const end = fc.constantFrom<End>(0, 1);
const often = fc.record({ action: fc.constantFrom(...ACTIONS.slice(0, -3)), end, size });
/** Actions that end the connection. */
const last = fc.record({ action: fc.constantFrom(...ACTIONS.slice(-3)), end, size });
const commands: fc.Arbitrary<Command[]> = fc
  .tuple(
    fc.array(often, { maxLength: 30 }),
    fc.array(last, { maxLength: 2 }),
    fc.array(often, { maxLength: 6 }),
  )
  .map((parts) => parts.flat());

describe('two Conns under random commands', () => {
  it('agree with the model, without a leak', longTimeout, async () => {
    await checkAsync(fc.tuple(setup, commands), 100, ([setup, commands]) =>
      runCommands(setup, commands),
    );
  });
});
