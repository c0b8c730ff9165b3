import type { Verdict } from '../model/case.ts';

/** True for a verdict that fails the run. */
export function failsRun(verdict: Verdict, strict: boolean): boolean {
  return verdict === 'fail' || verdict === 'error' || (strict && verdict === 'non-strict');
}
