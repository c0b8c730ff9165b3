import type { CaseResult } from '../model/case.ts';
import { weightOf } from '../model/weights.ts';
import { countsOf, type SuiteReport } from '../run/suite-report.ts';

/** Versions of the JSON report that can be read. Version 1 has no weights. */
const VERSIONS = [1, 2];

/** A report of `--json`. */
export interface StoredReport extends SuiteReport {
  /** False: a signal stopped the run. */
  readonly complete: boolean;
}

/**
 * Reads a report of {@link jsonReport}.
 *
 * @param text - The JSON document.
 * @param file - Its name, for the error.
 * @throws Error for another document, or another version.
 */
export function readReport(text: string, file: string): StoredReport {
  const read = jsonOf(text) as (Partial<StoredReport> & { readonly version?: unknown }) | null;
  const { role, results } = read ?? {};
  if ((role !== 'server' && role !== 'client') || !Array.isArray(results)) {
    throw new Error(`${file} is no report of --json`);
  }
  if (!VERSIONS.some((version) => version === read?.version)) {
    throw new Error(
      `${file} is a report of version ${String(read?.version)}; matrix reads versions ${VERSIONS.join(' and ')}`,
    );
  }
  if (!results.every(isResult)) throw new Error(`${file} has results that are no cases`);
  const weighted = results.map((one) => ({ ...one, weight: weightOf(role, one.id) }));
  const { target = '', started = '', ms = 0, complete = true } = read ?? {};
  return { role, target, started, ms, complete, counts: countsOf(weighted), results: weighted };
}

function isResult(one: Partial<CaseResult> | null): one is CaseResult {
  return (
    typeof one?.id === 'string' &&
    /^\d+\.\d+\.\d+$/.test(one.id) &&
    typeof one.title === 'string' &&
    typeof one.section === 'string' &&
    typeof one.expects === 'string' &&
    typeof one.verdict === 'string' &&
    Object.hasOwn(countsOf([]), one.verdict) &&
    Array.isArray(one.because) &&
    one.because.every((words) => typeof words === 'string')
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
