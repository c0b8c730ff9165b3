import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Attempt } from '../../src/model/attempt.ts';
import type { Case } from '../../src/model/case.ts';
import { TimedOut, Violation } from '../../src/model/verdicts.ts';
import { judge } from '../../src/run/judge.ts';

const TIMEOUT = 100;

function caseOf(run: (attempt: Attempt) => Promise<void>): Case<Attempt> {
  return {
    id: '1.1.1',
    chapter: 1,
    title: 'a case',
    expects: '',
    section: '',
    level: 'must',
    weight: 'interoperability',
    flood: false,
    target: undefined,
    run,
  };
}

/** Runs a case of 50 timeouts that calls `each` after each timeout. */
async function longCase(each: (attempt: Attempt) => void): Promise<readonly string[]> {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
  });
  onTestFinished(() => void vi.useRealTimers());
  const judged = judge(
    caseOf(async (attempt) => {
      for (let i = 0; i < 50; i++) {
        await new Promise((done) => setTimeout(done, TIMEOUT));
        each(attempt);
      }
    }),
    new Attempt(TIMEOUT),
  );
  await vi.advanceTimersByTimeAsync(60 * TIMEOUT);
  const { verdict, because } = (await judged).result;
  return [verdict, ...because];
}

/** Keeps the only thread, as other programs keep the processor. */
function holdThread(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
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

  it('does not judge a case that has timed out while the timers of the suite were late', async () => {
    const late = caseOf(async (attempt) => {
      attempt.progressed();
      holdThread(200);
      throw new TimedOut('timeout after 100 ms, waiting for a pong');
    });
    const { result, wasLate } = await judge(late, new Attempt(TIMEOUT));
    expect(wasLate).toBe(true);
    expect(result).toMatchObject({
      verdict: 'skipped',
      because: [
        'the machine was late, so this case is not judged: run it again on a quiet machine',
        expect.stringMatching(
          /^timers of the suite were \d+ ms late in \d+ ms; timeout after 100 ms, waiting for a pong$/,
        ),
      ],
    });
  });

  it('fails a case that breaks a rule on a late machine', async () => {
    const wrong = caseOf(async () => {
      holdThread(200);
      throw new Violation('received a ping');
    });
    const { result } = await judge(wrong, new Attempt(TIMEOUT));
    expect(result).toMatchObject({ verdict: 'fail', because: ['received a ping'] });
  });

  it('gives a case the time in which the machine was late', async () => {
    const attempt = new Attempt(TIMEOUT);
    holdThread(5 * TIMEOUT);
    expect(attempt.stalledFor).toBeLessThan(TIMEOUT);
    expect(attempt.stepTime).toBeLessThan(TIMEOUT);
    attempt.dispose();
  });
});
