import { describe, expect, it } from 'vitest';
import { FollowerWorld, followerPlanOf } from '../walks/follower-world.ts';
import { longTimeout, runBudget } from './check.ts';

describe('channels, members and loops on the table of a follower', () => {
  it('give each message once and in order, or a gap', longTimeout, () => {
    const { seed, hasNext } = runBudget(300);
    for (let done = 0; hasNext(done); done++) {
      const plan = followerPlanOf(seed + done);
      expect(new FollowerWorld(plan).run(), JSON.stringify(plan)).toEqual([]);
    }
  });
});
