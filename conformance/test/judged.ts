import type { CaseResult } from '../src/model/case.ts';

/**
 * Asks again while other programs keep the processor, for which a case is not judged.
 *
 * @param isEnough - Whether results are enough although some are not judged.
 */
export async function judged(
  ask: () => Promise<readonly CaseResult[]>,
  isEnough: (results: readonly CaseResult[]) => boolean = () => false,
): Promise<readonly CaseResult[]> {
  for (;;) {
    const results = await ask();
    const wasLate = results.some(({ because }) => because.join().includes('the machine was late'));
    if (!wasLate || isEnough(results)) return results;
  }
}
