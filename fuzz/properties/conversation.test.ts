import { sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import { Conn } from '@ws/conn';
import { FakeHost, turn } from '@ws/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Wire, type WireOptions } from '../model/wire.ts';
import { checkAsync, unhurried } from './check.ts';
import { compare, part, Speaker } from './conversation.ts';

const wire: fc.Arbitrary<WireOptions> = fc.record({
  cuts: fc.array(
    fc.oneof(fc.integer({ min: 20, max: 200 }), fc.integer({ min: 1_000, max: 65_536 })),
    { minLength: 1, maxLength: 5 },
  ),
  stalls: fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }),
  highWaterMark: fc.oneof(fc.nat(2_000), fc.constant(65_536)),
});

const settings = fc.record({
  readAhead: fc.constantFrom(100, 5_000, 65_536),
  highWaterMark: fc.constantFrom(1_000, 65_536, 1_000_000),
  writeBufferSize: fc.constantFrom(10, 1_000, 4_096, 100_000),
});

const conversation = fc.record({
  wires: fc.tuple(wire, wire),
  settings: fc.tuple(settings, settings),
  parts: fc.tuple(part, part),
  echo: fc.boolean(),
  closes: fc.constantFrom(0 as const, 1 as const),
});

describe('two Conns', () => {
  it(
    'lose, double and swap nothing, whoever writes and reads how, and leave nothing behind',
    unhurried,
    async () => {
      await checkAsync(conversation, 150, async ({ wires, settings, parts, echo, closes }) => {
        const host = new FakeHost();
        const ends = wires.map((options) => new Wire(host, options)) as [Wire, Wire];
        ends[0].peer = ends[1];
        ends[1].peer = ends[0];
        const speakers = ends.map((end, i) => {
          const role = i === 0 ? 'client' : 'server';
          const common = {
            role,
            host,
            heartbeat: false,
            maxBufferedAmount: false,
            maxPendingPings: 1e6,
          } as const;
          return new Speaker(new Conn(end, { ...settings[i]!, ...common }), parts[i]!, i * 1_000);
        }) as [Speaker, Speaker];
        await running(host, ends, converse(speakers, echo));
        const closing = speakers[closes].conn.close(4000, 'enough');
        const reads = speakers.map(({ conn }) => conn.discardReads().catch(() => {}));
        await running(
          host,
          ends,
          Promise.all([closing, ...reads, ...speakers.map(({ conn }) => conn.closed)]),
        );
        compare(speakers[0], speakers[1]);
        compare(speakers[1], speakers[0]);
        for (const { conn } of speakers) {
          expect(await conn.closed).toMatchObject({ code: 4000, wasClean: true });
          expect(conn.bufferedAmount).toBe(0);
        }
        await host.settle();
        const lent = [sharedSlabPool().lent, sharedMessageBuffers().lent];
        expect([host.timers, ...lent]).toEqual([0, 0, 0]);
      });
    },
  );
});

/** Both say and hear everything. With `echo` the second one has the last word. */
async function converse([first, second]: [Speaker, Speaker], echo: boolean): Promise<void> {
  const heard = second.listen(first, echo);
  const answered = first.listen(second, false);
  const said = second.write();
  await first.write();
  first.finish();
  await heard;
  await said;
  second.finish();
  await answered;
}

/** Lets time and bytes move until `work` is done. */
async function running(
  host: FakeHost,
  ends: readonly Wire[],
  work: Promise<unknown>,
): Promise<void> {
  let over = false;
  const done = work.finally(() => {
    over = true;
  });
  done.catch(() => {});
  for (let steps = 0; !over; steps++) {
    if (steps > 100_000) throw new Error('it does not come to an end');
    for (const end of ends) end.step();
    await host.advance(0.25);
    await turn();
  }
  await done;
}
