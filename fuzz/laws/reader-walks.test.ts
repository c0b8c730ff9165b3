import { Conn } from '@ws/conn';
import { limitRate } from '@ws/conn/internal';
import { describe, expect, it } from 'vitest';
import { type ReaderPlan, readerPlanOf } from '../walks/reader-plan.ts';
import { type ReaderBuild, ReaderWalk } from '../walks/reader-walk.ts';
import { longTimeout, runBudget } from './check.ts';
import { difference } from './difference.ts';

/** The product. Without a build, a walk runs on the small connection. */
const product: ReaderBuild = { Conn, limitRate };

async function walk(plan: ReaderPlan, build: ReaderBuild | undefined): Promise<string> {
  return (await new ReaderWalk(plan, build).run()).join('\n');
}

describe('the reader of a Conn on a random walk', () => {
  it('does what the second copy of its table says', longTimeout, async () => {
    const { seed, hasNext } = runBudget(300);
    for (let done = 0; hasNext(done); done++) {
      const plan = readerPlanOf(seed + done);
      const found = difference(await walk(plan, undefined), await walk(plan, product));
      const { role, style, handler, readAhead, rate } = plan;
      const what = `seed ${plan.seed}, ${role}, ${style}, ${handler}, ${readAhead}, ${rate?.perSecond}`;
      expect(found, what).toBe('');
    }
  });
});
