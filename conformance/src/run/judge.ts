import { inspect } from 'node:util';
import type { Attempt } from '../model/attempt.ts';
import type { Case, CaseFacts, CaseResult, Verdict } from '../model/case.ts';
import { factsOf } from '../model/select.ts';
import {
  HardViolation,
  Refused,
  Skip,
  TimedOut,
  Unanswered,
  Unreachable,
  Violation,
} from '../model/verdicts.ts';

/** Timeout of a case without progress, in timeouts of a single wait. */
const MAX_WAITS = 4;
/** Timeout of a step whose target sends without end, in timeouts of a single wait. */
const MAX_STEP = 20;

/** Longest case that waits for a late machine, in bounds of a quiet one. */
const MAX_LATE = 3;
/** Above this share of late time, a case that has timed out is asked again. */
const LATE = 1 / 10;
/** Above this share of late time, the case is not judged. */
const TOO_LATE = 1 / 2;

/** A target without the advice costs this share of a timeout in each of about a hundred cases. */
const ADVICE_PATIENCE = 1 / 10;

/** Verdict of a case and its explanation. */
interface Outcome {
  readonly verdict: Verdict;
  readonly because: readonly string[];
}

/** Result of a case. */
export interface Judged {
  readonly result: CaseResult;
  /** False when no connection to the target was possible. */
  readonly reached: boolean;
  /** False when the server refused a handshake or did not answer it. */
  readonly opened: boolean;
  /** True when the case has timed out while the machine was late: asked alone, it may pass. */
  readonly wasLate: boolean;
}

/** Runs a case until its end or its timeout, and releases its resources. Never rejects. */
export async function judge<Context extends Attempt>(
  one: Case<Context>,
  attempt: Context,
): Promise<Judged> {
  const start = performance.now();
  if (one.level === 'advice') attempt.patience = ADVICE_PATIENCE;
  let error: unknown;
  try {
    await withinBound(one.run(attempt), attempt);
  } catch (thrown) {
    error = thrown;
  }
  const { share } = attempt.lateness;
  attempt.dispose();
  const ms = Math.round(performance.now() - start);
  const timedOut = error instanceof TimedOut || (error instanceof Unreachable && error.timedOut);
  const { verdict, because } =
    timedOut && share > TOO_LATE
      ? notJudged(error as Violation, Math.round(share * ms), ms)
      : outcomeOf(one, attempt.remarks, error);
  const result = resultOf(one, verdict, because, ms, attempt);
  const reached = !(error instanceof Unreachable);
  const opened = reached && !(error instanceof Unanswered || error instanceof Refused);
  return { result, reached, opened, wasLate: timedOut && share > LATE };
}

function notJudged({ message }: Violation, late: number, ms: number): Outcome {
  const why = 'the machine was late, so this case is not judged: run it again on a quiet machine';
  const because = [why, `timers of the suite were ${late} ms late in ${ms} ms; ${message}`];
  return { verdict: 'skipped', because };
}

/** Creates the result of a case. */
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
  const soft = one.level === 'advice' ? 'advice' : 'non-strict';
  if (error === undefined) {
    return { verdict: remarks.length > 0 ? soft : 'pass', because: [...remarks] };
  }
  if (error instanceof Skip) return { verdict: 'skipped', because: [error.message] };
  if (error instanceof Violation) {
    const hard =
      one.level === 'must' ||
      (error instanceof Unreachable && one.level === 'should') ||
      error instanceof HardViolation;
    return { verdict: hard ? 'fail' : soft, because: [error.message, ...remarks] };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : inspect(error);
  return { verdict: 'error', because: [`the suite itself failed: ${text}`, ...remarks] };
}

/** A case of many steps may take long on a slow link, so the bounds count from the last step and the last progress. */
async function withinBound(run: Promise<void>, attempt: Attempt): Promise<void> {
  const ms = attempt.timeout * MAX_WAITS;
  const start = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const bound = new Promise<never>((_, reject) => {
    const check = (): void => {
      const total = Math.round(performance.now() - start);
      const left = Math.min(ms - attempt.stalledFor, attempt.timeout * MAX_STEP - attempt.stepTime);
      const isOver = left <= 0 || attempt.lateness.total > MAX_LATE * ms;
      if (!isOver) timer = setTimeout(check, left);
      else reject(new TimedOut(`the case did not end within ${total} ms`));
    };
    timer = setTimeout(check, ms);
  });
  try {
    await Promise.race([run, bound]);
  } finally {
    clearTimeout(timer);
  }
}
