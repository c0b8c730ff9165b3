import { isUtf8 } from 'node:buffer';
import type { Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { FakePlatform, naiveUtf8, turn } from '../kit/index.ts';
import { atLeast, claim, survives } from './harness/index.ts';
import { answerTo, frame, only, ROLES, type TargetConn, targetConn } from './target-conn.ts';

/** Every kind of first byte, and the kinds of bytes that may follow. */
const FIRSTS = [0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0];
const MORE_FIRSTS = [0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfb, 0xfc, 0xfd, 0xfe, 0xff];
const NEXTS = [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff];

/** Returns the shortest sequences whose last byte is the first wrong one. */
function badSequences(): Buffer[] {
  const bad: Buffer[] = [];
  const grow = (bytes: readonly number[], nexts: readonly number[]): void => {
    for (const next of nexts) {
      const longer = Buffer.from([...bytes, next]);
      const verdict = naiveUtf8(longer);
      if (verdict === 'bad') bad.push(longer);
      else if (verdict === 'cut') grow([...longer], NEXTS);
    }
  };
  grow([], [...FIRSTS, ...MORE_FIRSTS]);
  return bad;
}

/** Text before the sequence: none, each width, and enough for the platform's own check. */
const BEFORE = ['', 'a', 'é', 'a€', '😀', 'a'.repeat(7), 'ä'.repeat(40), `${'a'.repeat(200)}€`];
const HOSTS = [new FakePlatform(), new FakePlatform({ isUtf8 })];

/** The parts of a text: fragments, or chunks of one frame. */
type Cutting = 'fragments' | 'chunks';

/** A text whose last byte is its first wrong one. */
interface Case {
  readonly role: Role;
  readonly platform: FakePlatform;
  readonly text: Buffer;
  readonly cut: number;
  readonly cutting: Cutting;
}

const TOGETHER = 6;

async function settled(): Promise<void> {
  for (const platform of HOSTS) await platform.settle();
}

/** Sends the text and more. Returns the bytes between the wrong one and the failure. */
function lateness(
  { role, transport, conn }: TargetConn,
  { text, cut, cutting }: Pick<Case, 'text' | 'cut' | 'cutting'>,
): number {
  const bad = text.length - 1;
  const pieces = [
    text.subarray(0, cut),
    text.subarray(cut, bad),
    text.subarray(bad),
    Buffer.from('more'),
  ];
  // One frame, which is incomplete until its last piece.
  if (cutting === 'chunks') transport.feed(frame(role, 1, '', { claims: bad + 5, key: 0 }));
  let read = -1;
  for (const [i, piece] of pieces.entries()) {
    const one = frame(role, i === 0 ? 1 : 0, piece, { fin: false });
    transport.feed(cutting === 'chunks' ? piece : one);
    read += piece.length;
    if (conn.state !== 'open') return read - bad;
  }
  return Infinity;
}

describe('text that is not UTF-8', () => {
  it('is refused at its first bad byte, at every cut', async () => {
    const cases: Case[] = [];
    for (const [i, sequence] of badSequences().entries()) {
      for (const j of [i, i + 3]) {
        const before = BEFORE[j % BEFORE.length]!;
        const text = Buffer.concat([Buffer.from(before), sequence]);
        // At every byte of the sequence, and just before it.
        for (let cut = text.length - sequence.length; cut < text.length; cut++) {
          const role = ROLES[i % 2]!;
          const platform = HOSTS[cut % 2]!;
          cases.push({ role, platform, text, cut, cutting: 'fragments' });
          cases.push({ role, platform, text, cut, cutting: 'chunks' });
        }
      }
    }
    const attack = async (some: readonly Case[]) => {
      const closes = new Set<number>();
      const lates = new Set<number>();
      for (let at = 0; at < some.length; at += TOGETHER) {
        const these = some.slice(at, at + TOGETHER);
        const targets = these.map(({ role, platform }) => targetConn(role, {}, platform));
        for (const { conn } of targets) void conn.receive(() => {});
        await settled();
        for (const [i, target] of targets.entries()) lates.add(lateness(target, these[i]!));
        await settled();
        for (const { closeCode, transport } of targets) {
          closes.add(closeCode());
          transport.break();
        }
        await turn();
      }
      return { close: only(closes), late: only(lates) };
    };
    // All cases once, and a part of them for the memory and time of each round.
    const { close, late } = await attack(cases);
    const part = cases.slice(0, 2_000);
    await survives(
      claim('invalid UTF-8, cut at each byte into fragments and chunks', 'RFC 6455, 8.1'),
      { close: 1007, late: 0, cases: atLeast(10_000) },
      async () => {
        const some = await attack(part);
        return {
          close: only([close, some.close]),
          late: only([late, some.late]),
          cases: cases.length,
        };
      },
    );
  });

  it('is refused if it ends within a character', async () => {
    const ends = ['c3', 'e2 82', 'e2', 'f0 9f 98', 'f0 9f', 'f0', 'ed 9f', 'f4 8f bf'].map((text) =>
      Buffer.from(text.replaceAll(' ', ''), 'hex'),
    );
    const attack = claim('text that ends within a character', 'RFC 6455, 8.1');
    await survives(attack, { close: 1007, warmUps: 1 }, async () => {
      const closes = [];
      for (const role of ROLES) {
        for (const end of ends) {
          for (const before of BEFORE) {
            const text = Buffer.concat([Buffer.from(before), end]);
            for (const frames of [
              [frame(role, 1, text)],
              [frame(role, 1, text, { fin: false }), frame(role, 0)],
              [frame(role, 1, before, { fin: false }), frame(role, 0, end)],
            ]) {
              const { close, delivered } = await answerTo(role, new Uint8Array(), {}, frames);
              closes.push(close);
              expect(delivered).toBe(0);
            }
          }
        }
      }
      return { close: only(closes) };
    });
  });
});
