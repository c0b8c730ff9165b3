import { countsOf, type SuiteReport } from '../run/suite-report.ts';
import { findingCountsOf, findingsOf, idsText, titlesText } from './findings.ts';
import { byChapter, countsText } from './text.ts';

/** Ids of a finding in a summary, in characters. */
const MAX_IDS = 60;

/**
 * Formats a report in Markdown: chapters, then causes. GitHub shows it as the summary of a job.
 *
 * Call it like {@link textReport}.
 */
export function summaryReport(report: SuiteReport): string {
  const chapters = byChapter(report.results).map(({ number, title, results }) => {
    const { pass, fail, advice, skipped, ...rest } = countsOf(results);
    return row([
      `${number} ${title}`,
      results.length,
      pass,
      fail,
      rest['non-strict'],
      advice,
      skipped,
    ]);
  });
  const found = findingsOf(report.results);
  const findings = found.map(({ verdict, weight, results }) => {
    const [{ because, section }] = results as [(typeof results)[0]];
    const ids = idsText(results, MAX_IDS);
    const cells = [verdict, weight, results.length, because.join('; '), titlesText(results)];
    return row([...cells, section, ids]);
  });
  return [
    `### ws-conform: ${report.role} \`${report.target}\`\n`,
    `${countsText(report.counts, findingCountsOf(found))}\n`,
    row(['chapter', 'cases', 'pass', 'fail', 'non-strict', 'advice', 'skipped']),
    row(['---', ...Array.from({ length: 6 }, () => '---:')]),
    ...chapters,
    '',
    ...(findings.length > 0
      ? [
          row(['verdict', 'weight', 'cases', 'cause', 'titles', 'rule', 'ids']),
          row(['---', '---', '---:', '---', '---', '---', '---']),
        ]
      : []),
    ...findings,
    '',
  ].join('\n');
}

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.map((cell) => cellText(String(cell))).join(' | ')} |`;
}

/** The target's own words must not become markup or a new cell. */
function cellText(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll(/[\\|`*_<>[\]]/g, String.raw`\$&`);
}
