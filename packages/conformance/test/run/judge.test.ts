import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Attempt } from '../../src/model/attempt.ts';
import { judge } from '../../src/run/judge.ts';

const TIMEOUT = 100;

/** Runs a case of 50 timeouts that calls `each` after each timeout. */
async function longCase(each: (attempt: Attempt) => void): Promise<readonly string[]> {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const judged = judge(
    {
      id: '1.1.1',
      chapter: 1,
      title: 'long',
      expects: '',
      section: '',
      level: 'must',
      weight: 'interoperability',
      flood: false,
      target: undefined,
      run: async (attempt: Attempt) => {
        for (let i = 0; i < 50; i++) {
          await new Promise((done) => setTimeout(done, TIMEOUT));
          each(attempt);
        }
      },
    },
    new Attempt(TIMEOUT),
  );
  await vi.runAllTimersAsync();
  const { verdict, because } = (await judged).result;
  return [verdict, ...because];
}

describe('judge', () => {
  it('lets a case with steps take as long as it needs', async () => {
    expect(
      await longCase((attempt) => {
        attempt.progressed();
        attempt.stepped();
      }),
    ).toEqual(['pass']);
  });

  it('ends a case whose target sends without an expected message', async () => {
    expect(await longCase((attempt) => attempt.progressed())).toEqual([
      'fail',
      'the case did not end within 2000 ms',
    ]);
  });

  it('ends a case whose target sends nothing', async () => {
    expect(await longCase(() => {})).toEqual(['fail', 'the case did not end within 400 ms']);
  });
});
