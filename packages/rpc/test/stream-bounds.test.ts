// All that one end may send into its streams fits what the other end lets wait, in every state of its readers.
import { rounds } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { setUp, turn } from './stream-pairs.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Items of these lengths, then the end. */
const itemsOf = (lengths: readonly number[]) =>
  async function* texts() {
    for (const length of lengths) yield 'x'.repeat(length);
  };

describe('M1 an item larger than the window', () => {
  it.each([0, 1, 2, 5, 60, 63])('arrives behind %i small items that wait', async (small) => {
    const lengths = [...Array<number>(small).fill(1), 5 * MIB, 1, 5 * MIB, 1];
    const { peer } = setUp({ texts: itemsOf(lengths) });
    const got: number[] = [];
    for await (const text of peer.texts({ length: 0 })) {
      got.push(text.length);
      for (let i = 0; i < 5; i++) await turn();
    }
    expect(got).toEqual(lengths);
  });

  it('arrives in each of 30 streams that wait for one reader', async () => {
    const lengths = [3_000, MIB, 8_000];
    const { peer, reports } = setUp({ texts: itemsOf(lengths) }, { streams: 30 });
    const loops = Array.from({ length: 30 }, () => peer.texts({ length: 0 }));
    const firsts = loops.map((loop) => loop.next());
    for (const [i, loop] of loops.entries()) {
      const got = [(await firsts[i]!).value as string];
      for await (const text of loop) got.push(text);
      expect(got.map(({ length }) => length)).toEqual(lengths);
    }
    expect(reports).toEqual([]);
  });
});

describe('H3 M1 a slow reader', () => {
  const SIZES = [1, 80, 900, 3_900, 4_030, 4_100, 8_100, 8_300, 30 * KIB, 120 * KIB, 200 * KIB];
  /** A small generator of random numbers, so that a failure replays. */
  const randomOf = (seed: number) => {
    let state = seed;
    return (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
  };

  it.each(Array.from({ length: rounds(6, 20) }, (_, seed) => seed + 1))(
    'gets all of many streams, some of which have ended: seed %i',
    async (seed) => {
      const random = randomOf(seed);
      const count = 4 + random(36);
      const plans = Array.from({ length: count }, () =>
        Array.from({ length: 1 + random(90) }, () => SIZES[random(SIZES.length - random(6))]!),
      );
      let made = 0;
      const { peer } = setUp(
        {
          async *texts({ length }) {
            made++;
            yield* itemsOf(plans[length]!)();
          },
        },
        { streams: 40 },
      );
      const loops = plans.map((_, length) => peer.texts({ length }));
      // All begin to send before the second item of any is taken.
      const firsts = loops.map((loop) => loop.next());
      for (const first of firsts) await first;
      for (let i = 0; i < 50; i++) await turn();
      expect(made).toBe(count);
      const got = await Promise.all(
        loops.map(async (loop, i) => {
          const lengths = [((await firsts[i]!).value as string).length];
          for await (const text of loop) {
            lengths.push(text.length);
            for (let turns = random(4); turns > 0; turns--) await turn();
          }
          return lengths;
        }),
      );
      expect(got).toEqual(plans);
    },
  );
});
