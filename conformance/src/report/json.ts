import type { SuiteReport } from '../run/suite-report.ts';
import { findingCountsOf, findingsOf } from './findings.ts';

/** What a JSON report contains beside the results. */
export interface JsonFacts {
  /** False: the run was stopped. Default: true. */
  readonly complete?: boolean;
  /** The program that asked. */
  readonly tool?: { readonly name: string; readonly version: string; readonly node: string };
  /** Options of the command line. */
  readonly options?: Readonly<Record<string, string | boolean | readonly string[]>>;
  /** True: passed cases have transcripts too. Default: false. */
  readonly transcripts?: boolean;
}

/**
 * Formats the report as a JSON document with a `version`, now 2: see `report.schema.json`.
 *
 * Call it like {@link textReport}.
 *
 * @param report - A finished run.
 * @param facts - What to add to the results.
 */
export function jsonReport(
  report: SuiteReport,
  { complete = true, tool, options, transcripts = false }: JsonFacts = {},
): string {
  const results = report.results.map((one) =>
    one.verdict === 'pass' && !transcripts ? { ...one, transcript: [] } : one,
  );
  const found = findingsOf(report.results);
  const findings = found.map(({ verdict, weight, results: cases }) => ({
    verdict,
    weight,
    because: cases[0]!.because,
    section: cases[0]!.section,
    cases: cases.map(({ id, title }) => ({ id, title })),
  }));
  const causes = findingCountsOf(found);
  const facts = { version: 2, tool, options, complete };
  return `${JSON.stringify({ ...facts, ...report, causes, findings, results }, null, 1)}\n`;
}
