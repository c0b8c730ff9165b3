import { Conn, PreparedMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type WriterPlan, writerPlanOf } from '../walks/writer-plan.ts';
import { type WriterBuild, WriterWalk } from '../walks/writer-walk.ts';
import { longTimeout, runBudget } from './check.ts';
import { difference } from './difference.ts';

/** The product. Without a build, a walk runs on the small connection. */
const product: WriterBuild = { Conn, PreparedMessage };

async function walk(plan: WriterPlan, build: WriterBuild | undefined): Promise<string> {
  return (await new WriterWalk(plan, build).run()).join('\n');
}

describe('the way out of a Conn on a random walk', () => {
  it('does what the second copy of its table says', longTimeout, async () => {
    const { seed, hasNext } = runBudget(150);
    for (let done = 0; hasNext(done); done++) {
      const plan = writerPlanOf(seed + done);
      const found = difference(await walk(plan, undefined), await walk(plan, product));
      const { role, encodes, highWaterMark, maxBufferedAmount } = plan;
      const what = `seed ${plan.seed}, ${role}, ${encodes}, ${highWaterMark}, ${maxBufferedAmount}`;
      expect(found, what).toBe('');
    }
  });
});
