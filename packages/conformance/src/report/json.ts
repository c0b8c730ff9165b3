import type { SuiteReport } from '../run/suite-report.ts';

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
 * Formats the report as a JSON document with a `version`, now 1: see `report.schema.json`.
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
  return `${JSON.stringify({ version: 1, tool, options, complete, ...report, results }, null, 1)}\n`;
}
