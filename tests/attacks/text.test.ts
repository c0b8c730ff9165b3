import { isUtf8 } from 'node:buffer';
import type { Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives } from '../../src/hostile/index.ts';
import { FakeHost, naiveUtf8, turn } from '../../src/index.ts';
import { frame, only, ROLES, readingVictim, type Victim, victim, warmUp } from './victim.ts';

/** Every kind of first byte, and for each every kind of byte that may follow it, good or bad. */
const FIRSTS = [0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0];
const MORE_FIRSTS = [0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfb, 0xfc, 0xfd, 0xfe, 0xff];
const NEXTS = [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff];

/** Shortest sequences that are wrong at their last byte, and at none before it. */
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

/** What stands before: nothing, text of each width, enough for the platform's own check to be asked. */
const BEFORE = ['', 'a', 'é', 'a€', '😀', 'a'.repeat(7), 'ä'.repeat(40), `${'a'.repeat(200)}€`];
const HOSTS = [new FakeHost(), new FakeHost({ isUtf8 })];

/** Where a text is cut: into fragments, or into chunks of one frame that goes on. */
type Cutting = 'fragments' | 'chunks';

/** A text whose last byte is its first wrong one. */
interface Case {
  readonly role: Role;
  readonly host: FakeHost;
  readonly text: Buffer;
  readonly cut: number;
  readonly cutting: Cutting;
}

/** So many connections are made in one turn. */
const TOGETHER = 6;

async function settled(): Promise<void> {
  for (const host of HOSTS) await host.settle();
}

/** Sends the text, and more; says how many bytes after the wrong one that fails, less than 0: before it. */
function lateness(
  { role, transport, conn }: Victim,
  { text, cut, cutting }: Pick<Case, 'text' | 'cut' | 'cutting'>,
): number {
  const bad = text.length - 1;
  const pieces = [
    text.subarray(0, cut),
    text.subarray(cut, bad),
    text.subarray(bad),
    Buffer.from('more'),
  ];
  // All in one frame, which is not complete before its last piece.
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
  it('is refused at its first bad byte, wherever it is cut', async () => {
    const cases: Case[] = [];
    for (const [i, sequence] of badSequences().entries()) {
      for (const j of [i, i + 3]) {
        const before = BEFORE[j % BEFORE.length]!;
        const text = Buffer.concat([Buffer.from(before), sequence]);
        // At every byte of the sequence, and just before it.
        for (let cut = text.length - sequence.length; cut < text.length; cut++) {
          const role = ROLES[i % 2]!;
          const host = HOSTS[cut % 2]!;
          cases.push({ role, host, text, cut, cutting: 'fragments' });
          cases.push({ role, host, text, cut, cutting: 'chunks' });
        }
      }
    }
    const attack = async (some: readonly Case[]): Promise<Outcome> => {
      const closes = new Set<number>();
      const lates = new Set<number>();
      for (let at = 0; at < some.length; at += TOGETHER) {
        const these = some.slice(at, at + TOGETHER);
        const targets = these.map(({ role, host }) => victim(role, {}, host));
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
      return { cases: some.length, close: only(closes), late: only(lates) };
    };
    await attack(cases.slice(0, 4_000));
    await survives(74, () => attack(cases));
  }, 60_000);

  it('or ends in the middle of a character', async () => {
    const ends = ['c3', 'e2 82', 'e2', 'f0 9f 98', 'f0 9f', 'f0', 'ed 9f', 'f4 8f bf'].map((text) =>
      Buffer.from(text.replaceAll(' ', ''), 'hex'),
    );
    const attack = async (): Promise<Outcome> => {
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
              const target = await readingVictim(role);
              target.feed(...frames);
              await target.host.settle();
              closes.push(target.closeCode());
              expect(target.conn.stats.messagesIn).toBe(0);
              await target.end();
            }
          }
        }
      }
      return { close: only(closes) };
    };
    await warmUp(attack, 1);
    await survives(75, attack);
  });
});
