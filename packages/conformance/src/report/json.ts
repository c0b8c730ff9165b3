import type { SuiteReport } from '../run/suite-report.ts';

/** The whole report as a JSON document, `version` 1. */
export function jsonReport(report: SuiteReport): string {
  return `${JSON.stringify({ version: 1, ...report }, null, 1)}\n`;
}
