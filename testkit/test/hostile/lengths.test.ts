import { FAILED, FrameDecoder, type Role } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { FakeHost } from '../../src/index.ts';
import { nothingLeft, whenOver } from '../../src/peers/index.ts';
import {
  frame,
  only,
  ROLES,
  readingVictim,
  readUntilFailure,
  type Victim,
  warmUp,
} from './victim.ts';

const LIMITS = { server: 1024 * 1024, client: 16 * 1024 * 1024 };

/** The code that answers `bytes`, and how many of them were read. */
async function answerTo(role: Role, bytes: Uint8Array): Promise<{ close: number; read: number }> {
  const target = await readingVictim(role);
  const read = await readUntilFailure(target, bytes);
  const close = target.closeCode();
  await target.end();
  return { close, read };
}

describe('a 64-bit length', () => {
  nothingLeft();

  it('with the high bit set is refused before it is whole', async () => {
    const attack = async (): Promise<{ close: number; read: number }> => {
      const answers = [];
      for (const role of ROLES) {
        for (const claims of [2n ** 63n, 2n ** 63n + 5n, 2n ** 64n - 1n]) {
          answers.push(await answerTo(role, frame(role, 2, '', { claims })));
        }
      }
      return {
        close: only(answers.map(({ close }) => close)),
        read: Math.max(...answers.map(({ read }) => read)),
      };
    };
    await warmUp(attack);
    await survives(53, attack);
  });

  it('that no message can have is refused, and nothing is allocated for it', async () => {
    const lengths = [2n ** 53n, 2n ** 63n - 1n];
    for (const role of ROLES) {
      for (const claims of lengths) {
        expect((await answerTo(role, frame(role, 2, '', { claims }))).close).toBe(1009);
      }
    }
    // What a Conn that fails holds is the same for every fault, so memory is weighed where a length is read; and what an
    // error knows of its callers is theirs.
    // The bound is less than what the first rounds leave of the harness itself.
    const rounds = 40;
    const warmUps = 200;
    const ready = Array.from({ length: rounds + warmUps }, (_, i) => {
      const decoder = new FrameDecoder({ role: 'server' });
      decoder.push(frame('server', 2, '', { claims: lengths[i % 2]! }));
      return decoder;
    });
    let failed: FrameDecoder;
    const before = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    whenOver(() => {
      Error.stackTraceLimit = before;
    });
    const attack = (): { close: number } => {
      failed = ready.pop()!;
      return { close: failed.next() === FAILED ? failed.error!.closeCode : 0 };
    };
    await warmUp(attack, warmUps);
    await survives(54, attack, { rounds });
  });
});

describe('a claim', () => {
  it('of all that the limit allows is waited for, with memory for what has come', async () => {
    const connections = 8;
    const rounds = 8;
    // Connections that nobody sends anything to: what they hold themselves is no part of it.
    const ready: { host: FakeHost; targets: Victim[] }[] = [];
    for (let i = 0; i < rounds + 2; i++) {
      const host = new FakeHost();
      const targets: Victim[] = [];
      for (let j = 0; j < connections; j++) {
        const heartbeat = { interval: 20_000, timeout: 20_000 };
        targets.push(await readingVictim(ROLES[j % 2]!, { heartbeat }, host));
      }
      ready.push({ host, targets });
    }
    const attack = async (watch: Watch): Promise<Outcome> => {
      const { host, targets } = ready.pop()!;
      // A byte of payload, then more.
      for (const size of [0, 1, 1_000, 15_000]) {
        const bytes = Buffer.alloc(size);
        for (const { role, feed } of targets) {
          const head = size === 0 ? frame(role, 2, '', { claims: LIMITS[role] }) : bytes;
          feed(head);
          watch.sent(head.length);
        }
        watch.weigh();
      }
      const states = targets.map(({ conn }) => conn.state);
      expect(only(states)).toBe('open');
      // Silence is ended by the heartbeat.
      await host.advance(41_000);
      const ends = await Promise.all(targets.map(({ conn }) => conn.closed));
      expect(only(ends.map(({ code, error }) => `${code} ${String(error)}`))).toMatch(
        /^1006 TimeoutError/,
      );
      return {};
    };
    await warmUp(attack, 2);
    await survives(55, attack, { rounds });
  });
});

describe('lengths that add up', () => {
  it('are refused by the header that crosses the limit, whatever they claim', async () => {
    const attack = async (): Promise<{ close: number }> => {
      const closes = [];
      for (const role of ROLES) {
        for (const readLimit of [LIMITS[role], 2 ** 53 - 1]) {
          // 5.4: what came before counts, so this header claims a byte too many.
          const most = BigInt(readLimit);
          for (const claims of [most, 2n ** 53n - 1n, 2n ** 32n - 1n, 2n ** 31n]) {
            if (claims < most) continue;
            const target = await readingVictim(role, { readLimit });
            target.feed(frame(role, 2, 'x', { fin: false }), frame(role, 0, '', { fin: false }));
            const last = frame(role, 0, '', { claims });
            // All but the key, which has no say in it.
            const header = last.subarray(0, 10);
            const read = await readUntilFailure(target, header);
            expect(read).toBeLessThanOrEqual(header.length);
            closes.push(target.closeCode());
            await target.end();
          }
        }
      }
      return { close: only(closes) };
    };
    await warmUp(attack);
    await survives(56, attack);
  });
});

describe('a length that is not minimal', () => {
  it('is refused as soon as it shows', async () => {
    const attack = async (): Promise<{ close: number }> => {
      const closes = [];
      for (const role of ROLES) {
        for (const opcode of [1, 2]) {
          for (const [lengthBits, claims] of [
            [16, 0],
            [16, 5],
            [16, 125],
            [64, 0],
            [64, 5],
            [64, 126],
            [64, 65_535],
          ] as const) {
            const bytes = frame(role, opcode, '', { claims, lengthBits });
            const { close, read } = await answerTo(role, bytes);
            expect(read).toBeLessThanOrEqual(2 + lengthBits / 8);
            closes.push(close);
          }
        }
      }
      return { close: only(closes) };
    };
    await warmUp(attack);
    await survives(58, attack);
  });
});
