import { countsOf, type SuiteReport } from '../run/suite-report.ts';
import { findingsOf, idsText } from './findings.ts';
import { escapeMarkup } from './markup.ts';
import { failsRun } from './outcome.ts';
import { byChapter } from './text.ts';

/**
 * Formats a report as JUnit's XML: a test suite for each chapter. The type of a failure is its weight,
 * and its text names the finding with all cases of the same cause.
 *
 * Call it like {@link textReport}.
 */
export function junitReport(report: SuiteReport, strict = false): string {
  const findings = findingsOf(report.results).filter(({ verdict }) => failsRun(verdict, strict));
  const failed = new Map(
    findings.flatMap(({ weight, results }, at) =>
      results.map(({ id }) => {
        const text = `finding ${at + 1} of ${findings.length}: ${idsText(results)}`;
        return [id, `type="${weight}">${text}`] as const;
      }),
    ),
  );
  const suites = byChapter(report.results).map(({ number, title, results }) => {
    const { skipped, error } = countsOf(results);
    const failures = results.filter(
      ({ verdict }) => verdict !== 'error' && failsRun(verdict, strict),
    );
    const cases = results.map(({ id, title: name, verdict, because, ms }) => {
      const message = escapeMarkup(because.join('; '));
      const start = `<testcase classname="${report.role} ${number} ${escapeMarkup(title)}" name="${escapeMarkup(`${id} ${name}`)}" time="${ms / 1000}"`;
      if (verdict === 'skipped') return `${start}><skipped message="${message}"/></testcase>`;
      const kind = verdict === 'error' ? 'error' : 'failure';
      if (failed.has(id)) {
        return `${start}><${kind} message="${message}" ${failed.get(id)}</${kind}></testcase>`;
      }
      return verdict === 'pass'
        ? `${start}/>`
        : `${start}><system-out>${verdict}: ${message}</system-out></testcase>`;
    });
    return `<testsuite name="${report.role} ${number} ${escapeMarkup(title)}" tests="${results.length}" failures="${failures.length}" errors="${error}" skipped="${skipped}">\n${cases.join('\n')}\n</testsuite>`;
  });
  const name = escapeMarkup(`ws-conform ${report.role} ${report.target}`);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="${name}" time="${report.ms / 1000}">\n${suites.join('\n')}\n</testsuites>\n`;
}
