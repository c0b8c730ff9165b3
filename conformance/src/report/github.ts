import type { SuiteReport } from '../run/suite-report.ts';
import { findingsOf, idsText, titlesText } from './findings.ts';
import { failsRun } from './outcome.ts';

/** GitHub shows this many annotations of a step. */
const MAX_ANNOTATIONS = 10;

/**
 * Formats the findings as workflow commands of GitHub: each becomes an annotation.
 *
 * Call it like {@link textReport}.
 */
export function githubReport(report: SuiteReport, strict = false): string {
  return findingsOf(report.results)
    .slice(0, MAX_ANNOTATIONS)
    .map(({ verdict, weight, results }) => {
      const [{ because, section }] = results as [(typeof results)[0]];
      const kind = failsRun(verdict, strict)
        ? 'error'
        : verdict === 'advice'
          ? 'notice'
          : 'warning';
      const name = `${report.role}: ${verdict} ${idsText(results)} (${section}, ${weight})`;
      return `::${kind} title=${propertyText(name)}::${dataText(`${titlesText(results)}: ${because.join('; ')}`)}\n`;
    })
    .join('');
}

function dataText(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function propertyText(text: string): string {
  return dataText(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
