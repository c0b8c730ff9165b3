import { expect, it, vi } from 'vitest';
import { Limit } from '../../src/backplane/limit.ts';

it('Limit keeps nothing of the tasks that have run, while others always wait', async () => {
  const limit = new Limit(1);
  const slice = vi.spyOn(Array.prototype, 'slice');
  let running = 0;
  let next = 0;
  const task = async (): Promise<void> => {
    expect(++running).toBe(1);
    await Promise.resolve();
    running--;
    if (next++ < 5_000) tasks.push(limit.run(task));
  };
  const tasks = [limit.run(task), limit.run(task), limit.run(task)];
  for (const each of tasks) await each;
  const cuts = slice.mock.results.filter(({ value }) => Array.isArray(value));
  slice.mockRestore();
  expect(cuts.length).toBeGreaterThan(0);
  expect(tasks).toHaveLength(3 + 5_000);
});
