import type { SuiteReport } from '../run/suite-report.ts';

/**
 * Formats the report as a JSON document with a `version`, now 1. Passed cases have no transcript.
 *
 * Call it like {@link textReport}.
 */
export function jsonReport(report: SuiteReport): string {
  const results = report.results.map((one) =>
    one.verdict === 'pass' ? { ...one, transcript: [] } : one,
  );
  return `${JSON.stringify({ version: 1, ...report, results }, null, 1)}\n`;
}
