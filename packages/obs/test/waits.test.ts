import { describe, expect, it } from 'vitest';
import { Waits } from '../src/waits.ts';

const MANY = 100_000;
const BOUND = { timeout: 60_000, signal: undefined };

// A list that is searched takes minutes for so many calls.
describe('Waits', () => {
  it('settles many waits in any order, and ends the rest', async () => {
    const waits = new Waits();
    const promises = Array.from({ length: MANY }, (_, i) =>
      waits.add(
        String(i),
        BOUND,
        () => '',
        (value: number) => value,
      ),
    );
    for (let i = MANY - 1; i >= MANY / 2; i--) waits.settle(String(i), i);
    waits.end('over');
    const results = await Promise.allSettled(promises);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(MANY / 2);
    expect(results[0]).toEqual({ status: 'rejected', reason: 'over' });
    expect(results.at(-1)).toEqual({ status: 'fulfilled', value: MANY - 1 });
  });
});
