// Peers that are gone without a word.
import { describe, expect, it } from 'vitest';
import { type Outcome, survives } from '../../src/hostile/index.ts';
import { frame, ROLES, type Victim, victim, warmUp } from './victim.ts';

const STEP = 100;
/** Beats of a client, which has none unless it is told; a server has them by default. */
const BEATS = { interval: 20_000, timeout: 20_000 };

/** In which state a peer goes; what it returns happens with every step of the clock. */
const WAYS: Readonly<Record<string, (target: Victim) => (() => unknown) | undefined>> = {
  'an idle connection': () => undefined,
  'within a frame': ({ transport, role }) => {
    transport.feed(frame(role, 2, Buffer.alloc(1_000)).subarray(0, 500));
    return undefined;
  },
  'while we go on writing': ({ conn, transport }) => {
    return () => {
      void conn.send('are you there?');
      transport.takeSent();
    };
  },
  'with a socket that takes nothing any more': ({ conn, transport }) => {
    transport.block();
    void conn.send('in the way');
    return () => void conn.send('are you there?');
  },
};

describe('a peer that has vanished', () => {
  it('is dead by the heartbeat, whatever was going on', async () => {
    const attack = async (): Promise<Outcome> => {
      let seconds = 0;
      const causes = new Set<string>();
      for (const role of ROLES) {
        for (const begin of Object.values(WAYS)) {
          const target = victim(role, { heartbeat: role === 'server' ? undefined : BEATS });
          const { conn, host, transport } = target;
          const received = conn.receive(() => {}).catch((reason: unknown) => reason);
          await host.settle();
          const each = begin(target);
          let ms = 0;
          for (; !transport.destroyed && ms < 120_000; ms += STEP) {
            each?.();
            await host.advance(STEP);
          }
          seconds = Math.max(seconds, ms / 1_000);
          const { code, error } = await conn.closed;
          causes.add(`${code} ${(error as Error).name}`);
          expect(await received).toBeInstanceOf(Error);
          expect([host.timers, conn.bufferedAmount]).toEqual([0, 0]);
          await target.end();
        }
      }
      return { end: [...causes].join(', '), seconds };
    };
    await warmUp(attack, 3);
    await survives(102, attack);
  }, 30_000);
});
