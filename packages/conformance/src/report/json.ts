import type { SuiteReport } from '../run/suite-report.ts';

/** Formats the whole report as a JSON document with a `version`, now 1. */
export function jsonReport(report: SuiteReport): string {
  return `${JSON.stringify({ version: 1, ...report }, null, 1)}\n`;
}
