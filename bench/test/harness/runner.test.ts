import { describe, expect, it } from 'vitest';
import { generator, shuffled } from '../../src/harness/random.ts';
import {
  type Contest,
  type ContestResult,
  type Plan,
  runContest,
  spreadOver,
  timesBase,
} from '../../src/harness/runner.ts';

const plan: Plan = { processes: 3, rounds: 2, ms: 10, warmUpMs: 5, seed: 7 };

/** A contest that logs its calls. */
function logged(log: string[], more: Partial<Contest> = {}): Contest {
  return {
    name: 'a contest',
    contenders: ['a', 'b', 'c'],
    start(name) {
      log.push(`start ${name}`);
      return Promise.resolve({
        mask: name === 'b' ? 'JS' : undefined,
        window(ms) {
          log.push(`${ms} ${name}`);
          return Promise.resolve({ us: log.length });
        },
        end() {
          log.push(`end ${name}`);
          return Promise.resolve();
        },
      });
    },
    ...more,
  };
}

const count = (log: readonly string[], start: string): number =>
  log.filter((line) => line.startsWith(start)).length;

describe('runContest', () => {
  it('starts a fresh process of each contender for each generation, and warms it up once', async () => {
    const log: string[] = [];
    const { readings, masks } = await runContest(logged(log), plan);
    expect(['start', 'end', '5 ', '10 '].map((one) => count(log, one))).toEqual([9, 9, 9, 18]);
    expect(log.slice(0, 3).every((line) => line.startsWith('start'))).toBe(true);
    expect(Object.keys(readings)).toEqual(['a', 'b', 'c']);
    expect(readings['a']!['us']!.map(({ length }) => length)).toEqual([2, 2, 2]);
    expect(masks).toEqual({ b: 'JS' });
  });

  it('shuffles the windows, the same for the same seed', async () => {
    const orders = await Promise.all(
      [7, 7, 8].map(async (seed) => {
        const log: string[] = [];
        await runContest(logged(log), { ...plan, rounds: 9, seed });
        return log.filter((line) => line.startsWith('10')).join();
      }),
    );
    expect(orders[0]).toBe(orders[1]);
    expect(orders[0]).not.toBe(orders[2]);
    const rounds = orders[0]!.match(/(?:10 \w,?){3}/g)!;
    expect(new Set(rounds).size).toBeGreaterThan(1);
  });

  it('runs contenders one after the other where each needs the machine alone', async () => {
    const log: string[] = [];
    await runContest(logged(log, { alone: true, once: true }), { ...plan, processes: 1 });
    expect(log).toHaveLength(9);
    for (const i of [0, 3, 6]) {
      const [started, measured, ended] = log.slice(i, i + 3);
      const name = started!.slice(-1);
      expect([started, measured, ended]).toEqual([`start ${name}`, `10 ${name}`, `end ${name}`]);
    }
  });

  it('ends the processes of all contenders when one fails', async () => {
    const log: string[] = [];
    const contest = logged(log);
    const start: Contest['start'] = (name) =>
      log.length === 2 ? Promise.reject(new Error('no')) : contest.start(name);
    await expect(runContest({ ...contest, start }, plan)).rejects.toThrow('no');
    expect(count(log, 'end')).toBe(2);
  });

  it('takes all contenders of a shared contest from one process', async () => {
    const readings = { a: { ns: [1, 2] }, b: { ns: [3, 4] } };
    const measure = () => Promise.resolve({ readings, masks: { b: 'Node' } });
    const result = await runContest({ name: 'shared', measure }, plan);
    expect(result.readings['b']!['ns']).toEqual([
      [3, 4],
      [3, 4],
      [3, 4],
    ]);
    expect(result.masks).toEqual({ b: 'Node' });
  });
});

describe('the figures of a contest', () => {
  const result: ContestResult = {
    name: '',
    masks: {},
    readings: {
      own: {
        us: [
          [1, 2, 900],
          [2, 2, 2],
          [4, 4, 4],
        ],
      },
      base: {
        us: [
          [10, 20, 9000],
          [10, 10, 10],
          [12, 12, 12],
        ],
      },
    },
  };

  it('spread over the processes, not over the windows of one', () => {
    expect(spreadOver(result, 'own', 'us')).toEqual({ median: 2, least: 2, most: 4 });
    expect(spreadOver(result, 'own', 'rate')).toBeUndefined();
  });

  it('spread over the windows of a single process', () => {
    const single = {
      ...result,
      readings: { own: { us: [[1, 2, 900]] }, base: { us: [[3, 8, 900]] } },
    };
    expect(spreadOver(single, 'own', 'us')).toEqual({ median: 2, least: 1, most: 900 });
    expect(timesBase(single, 'own', 'base', 'us')).toEqual({ median: 3, least: 1, most: 4 });
  });

  it('divide within a round: a disturbance of both is none of the ratio', () => {
    expect(timesBase(result, 'own', 'base', 'us')).toEqual({ median: 5, least: 3, most: 10 });
    expect(timesBase(result, 'own', 'nobody', 'us')).toBeUndefined();
  });
});

describe('shuffled', () => {
  it('keeps the elements and reaches every order', () => {
    const random = generator(1);
    const orders = Array.from({ length: 200 }, () => shuffled(['a', 'b', 'c'], random).join(''));
    expect(new Set(orders).size).toBe(6);
  });
});
