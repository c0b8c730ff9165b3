import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Conn } from '@ws/conn';
import { nodePlatform, socketTransport } from '@ws/node-io';
import { afterAll, describe, expect, it } from 'vitest';
import { SocketPairs, startInMemory } from '../walks/ends.ts';
import { type Plan, planOf } from '../walks/plan.ts';
import { type Build, Walk, walkAll } from '../walks/walk.ts';
import { longTimeout, runBudget } from './check.ts';

/** Walks at the same time. */
const BATCH = 50;
/** A difference counts when it is there each time: turns of sockets have no fixed order. */
const ATTEMPTS = 3;

const here: Build = { Conn, platform: nodePlatform, socketTransport };
/** An installed checkout of another commit, else this tree: then a walk must repeat itself. */
const against = process.env['FUZZ_AGAINST'];
const there: Build = against === undefined ? here : await sourcesIn(against);
const pairs = new SocketPairs();
await pairs.listen();
afterAll(() => pairs.close());

async function sourcesIn(folder: string): Promise<Build> {
  const load = (name: string): Promise<object> =>
    import(pathToFileURL(join(resolve(folder), 'packages', name, 'src/index.ts')).href);
  const io = (await load('node-io')) as { nodePlatform: Build['platform'] };
  return { ...(await load('conn')), ...io, platform: io.nodePlatform } as unknown as Build;
}

type Start = (walk: Walk) => void | Promise<void>;

/** The two walks of each plan. */
async function runBoth(plans: readonly Plan[], start: Start): Promise<[Walk, Walk][]> {
  const twos = plans.map((plan): [Walk, Walk] => [new Walk(plan, there), new Walk(plan, here)]);
  // Sockets are accepted in the order of their calls.
  for (const walk of twos.flat()) await start(walk);
  await walkAll(twos.flat());
  return twos;
}

async function check(runs: number, blocks: boolean, start: Start): Promise<void> {
  const { seed, hasNext } = runBudget(runs);
  for (let done = 0; hasNext(done); done += BATCH) {
    const plans = Array.from({ length: BATCH }, (_, i) => planOf(seed + done + i, blocks));
    for (const [before, now] of await runBoth(plans, start)) {
      const { plan, fault } = now;
      const what = `--seed ${plan.seed}, ${plan.role}, ${plan.mode}`;
      expect(fault, `${what}\n${now.result}`).toBeUndefined();
      if (equal(before, now, blocks)) continue;
      expect(await differsAgain(plan, blocks, start), what).toBe('');
    }
  }
}

/** Whether two walks are equal, except for what was decided when the table of states came. */
function equal(before: Walk, now: Walk, blocks: boolean): boolean {
  if (before.result === now.result) return true;
  if (against === undefined) return false;
  // A pong that waits for a blocked transport goes before our close frame, not before the messages.
  const withoutPongs = (walk: Walk): string => walk.result.replaceAll(/^> 10 .*\n/gm, '');
  return now.failedLate || (blocks && withoutPongs(before) === withoutPongs(now));
}

/** The difference, if it is there each time. */
async function differsAgain(plan: Plan, blocks: boolean, start: Start): Promise<string> {
  let difference = '';
  for (let i = 1; i < ATTEMPTS; i++) {
    const [[before, now]] = (await runBoth([plan], start)) as [[Walk, Walk]];
    if (equal(before, now, blocks)) return '';
    difference = `before:\n${before.result}\n\nnow:\n${now.result}\n`;
  }
  return difference;
}

describe('a Conn on a random walk', () => {
  it(
    'sends whole frames, at most one close frame and nothing after it, on sockets',
    longTimeout,
    async () => {
      await check(100, false, (walk) => pairs.start(walk));
    },
  );

  it('does so over a transport that takes nothing for a while', longTimeout, async () => {
    await check(200, true, startInMemory);
  });
});
