import { inspect } from 'node:util';
import type { Attempt } from '../model/attempt.ts';
import type { Case, CaseFacts, CaseResult, Verdict } from '../model/case.ts';
import { factsOf } from '../model/select.ts';
import { Skip, Unreachable, Violation } from '../model/verdicts.ts';

/** A case may take as long as so many of its waits. */
const WAITS = 4;

/** What has become of a case. */
interface Outcome {
  readonly verdict: Verdict;
  readonly because: readonly string[];
}

/** A result, and whether anybody was there to be asked. */
export interface Judged {
  readonly result: CaseResult;
  readonly reached: boolean;
}

/** Runs a case to its end, or to its bound, and gives back all that it held. Never rejects. */
export async function judge<Context extends Attempt>(
  one: Case<Context>,
  attempt: Context,
): Promise<Judged> {
  const start = performance.now();
  let error: unknown;
  try {
    await withinBound(one.run(attempt), attempt.timeout * WAITS);
  } catch (thrown) {
    error = thrown;
  }
  attempt.dispose();
  const ms = Math.round(performance.now() - start);
  const { verdict, because } = outcomeOf(one, attempt.remarks, error);
  const result = resultOf(one, verdict, because, ms, attempt);
  return { result, reached: !(error instanceof Unreachable) };
}

/** The result of a case. */
export function resultOf(
  one: CaseFacts,
  verdict: Verdict,
  because: readonly string[],
  ms = 0,
  attempt?: Attempt,
): CaseResult {
  return { ...factsOf(one), verdict, because, ms, transcript: attempt?.transcript.lines ?? [] };
}

function outcomeOf(one: CaseFacts, remarks: readonly string[], error: unknown): Outcome {
  if (error === undefined) {
    return { verdict: remarks.length > 0 ? 'non-strict' : 'pass', because: [...remarks] };
  }
  if (error instanceof Skip) return { verdict: 'skipped', because: [error.message] };
  if (error instanceof Violation) {
    const soft = one.level === 'should' && !(error instanceof Unreachable);
    return { verdict: soft ? 'non-strict' : 'fail', because: [error.message, ...remarks] };
  }
  const words = error instanceof Error ? (error.stack ?? error.message) : inspect(error);
  return { verdict: 'fail', because: [`the suite itself failed: ${words}`, ...remarks] };
}

async function withinBound(run: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const bound = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Violation(`the case was not over after ${ms} ms`)), ms);
  });
  try {
    await Promise.race([run, bound]);
  } finally {
    clearTimeout(timer);
  }
}
