import { countsOf, type SuiteReport } from '../run/suite-report.ts';
import { escapeMarkup } from './markup.ts';
import { failsRun } from './outcome.ts';
import { byChapter } from './text.ts';

/**
 * Formats a report as JUnit's XML: a test suite for each chapter.
 *
 * Call it like {@link textReport}.
 */
export function junitReport(report: SuiteReport, strict = false): string {
  const suites = byChapter(report.results).map(({ number, title, results }) => {
    const { skipped, error } = countsOf(results);
    const failures = results.filter(
      ({ verdict }) => verdict !== 'error' && failsRun(verdict, strict),
    );
    const cases = results.map(({ id, title: name, verdict, because, ms }) => {
      const message = escapeMarkup(because.join('; '));
      const start = `<testcase classname="${report.role} ${number} ${escapeMarkup(title)}" name="${escapeMarkup(`${id} ${name}`)}" time="${ms / 1000}"`;
      if (verdict === 'skipped') return `${start}><skipped message="${message}"/></testcase>`;
      if (verdict === 'error') return `${start}><error message="${message}"/></testcase>`;
      if (failsRun(verdict, strict)) return `${start}><failure message="${message}"/></testcase>`;
      return verdict === 'pass'
        ? `${start}/>`
        : `${start}><system-out>${verdict}: ${message}</system-out></testcase>`;
    });
    return `<testsuite name="${report.role} ${number} ${escapeMarkup(title)}" tests="${results.length}" failures="${failures.length}" errors="${error}" skipped="${skipped}">\n${cases.join('\n')}\n</testsuite>`;
  });
  const name = escapeMarkup(`ws-conform ${report.role} ${report.target}`);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="${name}" time="${report.ms / 1000}">\n${suites.join('\n')}\n</testsuites>\n`;
}
