import type { CaseResult, TranscriptLine, Verdict } from '../model/case.ts';
import { CHAPTERS } from '../model/chapter.ts';
import { countsOf, type SuiteReport } from '../run/suite-report.ts';

/** Formats a report for a terminal: one line per chapter, then each case that did not pass. */
export function textReport(report: SuiteReport): string {
  const { results, counts } = report;
  const skips = results.filter(({ verdict }) => verdict === 'skipped');
  const parts = [
    `conformance of the ${report.role} ${report.target}`,
    summary(results),
    ...results.filter(({ verdict }) => verdict === 'fail').map(explainCase),
    ...results.filter(({ verdict }) => verdict === 'non-strict').map(explainCase),
    ...(skips.length > 0 ? [skippedCases(skips)] : []),
    `${results.length} cases in ${(report.ms / 1000).toFixed(1)} s: ${countsText(counts)}`,
  ];
  return `${parts.join('\n\n')}\n`;
}

/** Formats counts: `600 passed, 2 failed, 1 non-strict, 40 skipped`. */
export function countsText(counts: Readonly<Record<Verdict, number>>): string {
  const { pass, fail, skipped } = counts;
  return `${pass} passed, ${fail} failed, ${counts['non-strict']} non-strict, ${skipped} skipped`;
}

/** Groups results by chapter, in the order of the chapters. */
export function byChapter(
  results: readonly CaseResult[],
): { number: number; title: string; results: CaseResult[] }[] {
  const numbers = [...new Set(results.map(({ chapter }) => chapter))].toSorted((a, b) => a - b);
  return numbers.map((number) => ({
    number,
    title: CHAPTERS[number] ?? '',
    results: results.filter(({ chapter }) => chapter === number),
  }));
}

function summary(results: readonly CaseResult[]): string {
  const rows = byChapter(results).map(({ number, title, results }) => {
    const counts = countsOf(results);
    return [
      `${number} ${title}`,
      results.length,
      counts.pass,
      counts.fail,
      counts['non-strict'],
      counts.skipped,
    ];
  });
  const table = [['chapter', 'cases', 'pass', 'fail', 'non-strict', 'skipped'], ...rows];
  return table
    .map(
      ([first, ...rest]) =>
        `  ${String(first).padEnd(30)}${rest.map((cell) => String(cell).padStart(11)).join('')}`,
    )
    .join('\n');
}

function explainCase(result: CaseResult): string {
  return [
    `${result.verdict.toUpperCase()} ${result.id} ${result.title}`,
    `  expected: ${result.expects} (${result.section}, ${result.level})`,
    ...result.because.map((words) => `  but: ${words}`),
    ...result.transcript.map((line) => `    ${lineText(line)}`),
  ].join('\n');
}

/** Formats skipped cases: one entry per reason. */
function skippedCases(skips: readonly CaseResult[]): string {
  const reasons = new Map<string, string[]>();
  for (const { id, because } of skips) {
    const reason = because.join('; ');
    reasons.set(reason, [...(reasons.get(reason) ?? []), id]);
  }
  return [...reasons]
    .map(([reason, ids]) => `SKIPPED ${ids.join(' ')}\n  because ${reason}`)
    .join('\n');
}

/** Formats one line of a transcript. */
export function lineText({ connection, kind, says, hex, text, size }: TranscriptLine): string {
  const of = connection > 1 ? `[${connection}] ` : '';
  if (kind === 'event') return `${of}   ${says}`;
  const bytes = size === 1 ? '1 byte' : `${size} bytes`;
  return `${of}${kind === 'sent' ? '->' : '<-'} ${says}, ${bytes} on the wire: ${hex}${headerText(text)}`;
}

/** Formats an HTTP header below its bytes, one line per field. */
function headerText(text: string): string {
  if (text === '') return '';
  return text
    .split('\r\n')
    .map((line) => `\n         | ${line.replaceAll(/[\r\n]/g, '\u00b7')}`)
    .join('');
}
