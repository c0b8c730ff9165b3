import { sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import { Conn } from '@ws/conn';
import { FakePlatform, SteppedTransport, type SteppedTransportOptions, turn } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkAsync, longTimeout } from './check.ts';
import { checkReceived, ScriptedPeer, script } from './scripted-peer.ts';

const transport: fc.Arbitrary<SteppedTransportOptions> = fc.record({
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
  transports: fc.tuple(transport, transport),
  settings: fc.tuple(settings, settings),
  scripts: fc.tuple(script, script),
  echo: fc.boolean(),
  closes: fc.constantFrom(0 as const, 1 as const),
});

describe('two Conns', () => {
  it(
    'deliver each message once and in order, for all ways to write and read, without a leak',
    longTimeout,
    async () => {
      await checkAsync(
        conversation,
        50,
        async ({ transports, settings, scripts, echo, closes }) => {
          const platform = new FakePlatform();
          const ends = transports.map((options) => new SteppedTransport(platform, options)) as [
            SteppedTransport,
            SteppedTransport,
          ];
          ends[0].peer = ends[1];
          ends[1].peer = ends[0];
          const peers = ends.map((end, i) => {
            const role = i === 0 ? 'client' : 'server';
            const common = {
              role,
              platform,
              heartbeat: false,
              maxBufferedAmount: false,
            } as const;
            return new ScriptedPeer(
              new Conn(end, { ...settings[i]!, ...common }),
              scripts[i]!,
              i * 1_000,
            );
          }) as [ScriptedPeer, ScriptedPeer];
          await running(platform, ends, converse(peers, echo));
          const closing = peers[closes].conn.close(4000, 'enough');
          const reads = peers.map(({ conn }) => conn.discardReads().catch(() => {}));
          await running(
            platform,
            ends,
            Promise.all([closing, ...reads, ...peers.map(({ conn }) => conn.closed)]),
          );
          checkReceived(peers[0], peers[1]);
          checkReceived(peers[1], peers[0]);
          for (const { conn } of peers) {
            expect(await conn.closed).toMatchObject({ code: 4000, wasClean: true });
            expect(conn.bufferedAmount).toBe(0);
          }
          await platform.settle();
          const lent = [sharedSlabPool().lent, sharedMessageBuffers().lent];
          expect([platform.timers, ...lent]).toEqual([0, 0, 0]);
        },
      );
    },
  );
});

/** Both ends send and receive all messages. With `echo`, the second end sends the last message. */
async function converse(
  [first, second]: [ScriptedPeer, ScriptedPeer],
  echo: boolean,
): Promise<void> {
  const received = second.readAll(first, echo);
  const answered = first.readAll(second, false);
  const sent = second.write();
  await first.write();
  first.finish();
  await received;
  await sent;
  second.finish();
  await answered;
}

/** Advances time and bytes until `work` settles. */
async function running(
  platform: FakePlatform,
  ends: readonly SteppedTransport[],
  work: Promise<unknown>,
): Promise<void> {
  let over = false;
  const done = work.finally(() => {
    over = true;
  });
  done.catch(() => {});
  for (let steps = 0; !over; steps++) {
    if (steps > 100_000) throw new Error('no end after 100,000 steps');
    for (const end of ends) end.step();
    await platform.advance(0.25);
    await turn();
  }
  await done;
}
