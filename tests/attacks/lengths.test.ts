import { FAILED, FrameDecoder, sharedMessageBuffers } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { FakePlatform, turn } from '../kit/index.ts';
import { nothingLeft, whenOver } from '../peers/index.ts';
import { atMost, claim, KIB, MIB, survives } from './harness/index.ts';
import {
  answerTo,
  combined,
  feedUntilFailure,
  frame,
  only,
  ROLES,
  readingTargetConn,
  type TargetConn,
} from './target-conn.ts';

const LIMITS = { server: 1024 * 1024, client: 16 * 1024 * 1024 };

describe('a 64-bit length', () => {
  nothingLeft();

  it('with the high bit set is refused before it is complete', async () => {
    const attack = claim(
      'a 64-bit length with the high bit set',
      'RFC 6455, 5.2 and CVE-2026-43678',
    );
    await survives(attack, { read: atMost(14), close: 1002, warmUps: 10 }, async () => {
      const answers = [];
      for (const role of ROLES) {
        for (const claims of [2n ** 63n, 2n ** 63n + 5n, 2n ** 64n - 1n]) {
          answers.push(await answerTo(role, frame(role, 2, '', { claims })));
        }
      }
      return { ...combined(answers) };
    });
  });

  it('beyond every limit is refused without an allocation', async () => {
    const lengths = [2n ** 53n, 2n ** 63n - 1n];
    for (const role of ROLES) {
      for (const claims of lengths) {
        expect((await answerTo(role, frame(role, 2, '', { claims }))).close).toBe(1009);
      }
    }
    // A failed connection holds the same memory for every fault. So this weighs only the decoder,
    // and leaves out the stack traces of errors. The first rounds of the harness hold more than the
    // bound.
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
    const attack = claim(
      'a claimed length of 2^53 or 2^63 - 1',
      'RFC 6455, 10.4 and CVE-2026-1528',
    );
    const bound = { close: 1009, memory: KIB, rounds, warmUps: warmUps };
    await survives(attack, bound, (): { close: number } => {
      failed = ready.pop()!;
      return { close: failed.next() === FAILED ? failed.error!.closeCode : 0 };
    });
  });
});

it('a claimed length at the limit holds memory only for the bytes received', async () => {
  const connections = 8;
  const rounds = 8;
  // Idle connections, created in advance: their own memory does not count.
  const ready: { platform: FakePlatform; targets: TargetConn[] }[] = [];
  for (let i = 0; i < rounds + 2; i++) {
    const platform = new FakePlatform();
    const targets: TargetConn[] = [];
    for (let j = 0; j < connections; j++) {
      const heartbeat = { interval: 20_000, timeout: 20_000 };
      targets.push(await readingTargetConn(ROLES[j % 2]!, { heartbeat }, platform));
    }
    ready.push({ platform, targets });
  }
  const attack = claim('a claimed length at the limit, then silence', 'RFC 6455, 10.4');
  await survives(attack, { rounds, warmUps: 2 }, async (watch) => {
    const { platform, targets } = ready.pop()!;
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
    // The heartbeat ends the silent peer.
    await platform.advance(41_000);
    const ends = await Promise.all(targets.map(({ conn }) => conn.closed));
    expect(only(ends.map(({ code, error }) => `${code} ${String(error)}`))).toMatch(
      /^1006 TimeoutError/,
    );
    return {};
  });
});

it('a header and one byte hold memory for one byte', async () => {
  const connections = 1_000;
  const rounds = 4;
  const platform = new FakePlatform();
  const attack = claim(
    '1,000 claimed lengths of 64 KiB or more, and one byte each',
    'RFC 6455, 10.4',
  );
  // The smallest buffer of the pool has 4 KiB. The rest is the decoder, which an idle connection
  // does not have.
  await survives(attack, { memory: 8 * MIB, rounds }, async (watch) => {
    const targets: TargetConn[] = [];
    for (let i = 0; i < connections; i++) {
      const role = ROLES[i % 2]!;
      const target = await readingTargetConn(role, {}, platform);
      target.feed(frame(role, 2, '', { claims: role === 'server' ? 65_536 : LIMITS[role] }));
      targets.push(target);
      if (i % 50 === 49) await turn();
    }
    expect(sharedMessageBuffers().lent).toBe(0);
    for (const [i, { feed }] of targets.entries()) {
      feed(Buffer.alloc(1));
      if (i % 50 === 49) await turn();
    }
    watch.weigh();
    expect(only(targets.map(({ conn }) => conn.state))).toBe('open');
    for (const [i, { transport }] of targets.entries()) {
      transport.break();
      if (i % 50 === 49) await turn();
    }
    await platform.settle();
    return {};
  });
});

it('lengths that add up are refused by the header that crosses the limit', async () => {
  const attack = claim('fragments whose lengths add up past the limit or 2^53', 'CVE-2020-27813');
  await survives(attack, { close: 1009, warmUps: 10 }, async () => {
    const closes = [];
    for (const role of ROLES) {
      for (const readLimit of [LIMITS[role], 2 ** 53 - 1]) {
        // RFC 6455, section 5.4: earlier fragments count, so this header claims one byte too
        // many.
        const most = BigInt(readLimit);
        for (const claims of [most, 2n ** 53n - 1n, 2n ** 32n - 1n, 2n ** 31n]) {
          if (claims < most) continue;
          const target = await readingTargetConn(role, { readLimit });
          target.feed(frame(role, 2, 'x', { fin: false }), frame(role, 0, '', { fin: false }));
          const last = frame(role, 0, '', { claims });
          // The header without its masking key.
          const header = last.subarray(0, 10);
          const read = await feedUntilFailure(target, header);
          expect(read).toBeLessThanOrEqual(header.length);
          closes.push(target.closeCode());
          await target.end();
        }
      }
    }
    return { close: only(closes) };
  });
});

it('a length that is not minimal is refused at its first wrong byte', async () => {
  const attack = claim('lengths that are not minimal', 'RFC 6455, 5.2');
  await survives(attack, { close: 1002, warmUps: 10 }, async () => {
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
  });
});
