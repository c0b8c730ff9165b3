import type { CaseResult, Verdict } from '../model/case.ts';

/** What a run of the suite has found. */
export interface SuiteReport {
  readonly role: 'server' | 'client';
  /** The server's URL, or the client's command. */
  readonly target: string;
  /** When it began, as ISO 8601. */
  readonly started: string;
  /** Milliseconds. */
  readonly ms: number;
  readonly counts: Readonly<Record<Verdict, number>>;
  /** In the order of the suite. */
  readonly results: readonly CaseResult[];
}

/** Makes a report of results. */
export function reportOf(
  role: SuiteReport['role'],
  target: string,
  started: Date,
  results: readonly CaseResult[],
): SuiteReport {
  return {
    role,
    target,
    started: started.toISOString(),
    ms: Date.now() - started.getTime(),
    counts: countsOf(results),
    results,
  };
}

/** How many results there are of each verdict. */
export function countsOf(results: readonly CaseResult[]): Record<Verdict, number> {
  const counts = { pass: 0, 'non-strict': 0, fail: 0, skipped: 0 };
  for (const { verdict } of results) counts[verdict]++;
  return counts;
}

/** What both suites can be told. */
export interface SuiteOptions {
  /** Ids to run, `*` for any characters. Default: all. */
  readonly only?: readonly string[] | undefined;
  /** Milliseconds that any single wait may take. Default 5000. */
  readonly timeout?: number | undefined;
  /** Called after each case. */
  readonly onResult?: ((result: CaseResult) => void) | undefined;
}

/** Default of {@link SuiteOptions.timeout}, milliseconds. */
export const DEFAULT_TIMEOUT = 5000;
