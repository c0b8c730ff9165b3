// Plants a wrong cell in the reader's table of the product, one after the other: the random walks tell it, because
// they compare with a second copy of the table.
import { Conn } from '@ws/conn';
import { limitRate } from '@ws/conn/internal';
import { expect, it } from 'vitest';
import {
  AFTER,
  BROKEN,
  cellName,
  type Reader,
  type ReaderEvent,
} from '../../packages/conn/src/connection/reader.ts';
import { UncaughtErrors } from '../harness/uncaught-errors.ts';
import { readerPlanOf } from '../walks/reader-plan.ts';
import { type ReaderBuild, ReaderWalk } from '../walks/reader-walk.ts';

const WALKS = 1_800;
const STATES: readonly Reader[] = [1, 2, 4, 8, 16, 32, 64, 128];

/** Wrong cells that no walk tells, and why. */
const UNTOLD = {
  'a `close` within the handler of `serve` that starts or ends in a handler of `receive` waits differently':
    ['CALLED × WILL_READ: BUSY', 'CALLED × DONE: BUSY', 'BUSY × WILL_READ: CALLED'],
  'reading is over: nothing asks': [
    'FREE × OVER: NONE',
    'FREE × OVER: COMING',
    'DISCARDS × OVER: NONE',
    'DISCARDS × OVER: COMING',
  ],
};

const nameOf = (reader: Reader): string => cellName(reader, 0).split(' ')[0]!;

it('the walks of a reader tell each wrong cell of its table', { timeout: 0 }, async () => {
  const product: ReaderBuild = { Conn, limitRate };
  const uncaught = new UncaughtErrors();
  const plans = Array.from({ length: WALKS }, (_, i) => readerPlanOf(i + 1));
  const expected: string[] = [];
  for (const plan of plans) expected.push((await new ReaderWalk(plan, undefined).run()).join('\n'));
  const isTold = async (): Promise<boolean> => {
    for (const [i, plan] of plans.entries()) {
      const log = await new ReaderWalk(plan, product).run().catch(() => []);
      if (uncaught.take() !== undefined || log.join('\n') !== expected[i]) return true;
    }
    return false;
  };
  uncaught.start();
  const untold: string[] = [];
  try {
    expect(await isTold()).toBe(false);
    for (const reader of STATES) {
      const row = AFTER[reader] as Reader[];
      for (const [i, right] of row.entries()) {
        for (const wrong of right === BROKEN ? [] : STATES.filter((state) => state !== right)) {
          row[i] = wrong;
          if (!(await isTold()))
            untold.push(`${cellName(reader, i as ReaderEvent)}: ${nameOf(wrong)}`);
        }
        row[i] = right;
      }
    }
  } finally {
    uncaught.stop();
  }
  expect(untold.toSorted()).toEqual(Object.values(UNTOLD).flat().toSorted());
});
