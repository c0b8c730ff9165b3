import type { CaseResult, Level, TranscriptLine, Verdict } from '../model/case.ts';
import { CHAPTERS } from '../model/chapter.ts';
import { WEIGHTS } from '../model/weights.ts';
import { countsOf, type SuiteReport } from '../run/suite-report.ts';
import {
  causeOf,
  causesIn,
  EXPLAINED,
  type Finding,
  type FindingCounts,
  findingCountsOf,
  findingsOf,
  idsText,
  titlesText,
} from './findings.ts';

/** Options of {@link textReport}. */
export interface TextOptions {
  /** True: explain every case. Default false: one example for each cause, and the ids of the others. */
  readonly verbose?: boolean | undefined;
}

/**
 * Formats a report for a terminal: one line per chapter, then the causes of all cases that did not
 * pass, each with an example.
 *
 * @param report - A finished run.
 * @param options - What to print.
 *
 * @example
 * ```ts
 * import { runServerSuite, textReport } from '@ws/conformance';
 * import { serve } from '@ws/node-server';
 *
 * await using server = await serve({ port: 0 }, (conn) => conn.receive((m) => conn.send(m)));
 * const report = await runServerSuite(server.url, { only: ['2.1.*'] });
 * console.log(textReport(report, { verbose: true }));
 * ```
 */
export function textReport(report: SuiteReport, { verbose = false }: TextOptions = {}): string {
  const { results, counts } = report;
  const findings = findingsOf(results);
  const found = findingCountsOf(findings);
  const skips = results.filter(({ verdict }) => verdict === 'skipped');
  const parts = [
    `conformance of the ${report.role} ${report.target}`,
    summary(results),
    ...findings.map((finding) =>
      verbose ? finding.results.map(caseText).join('\n\n') : explainFinding(finding, report),
    ),
    ...(skips.length > 0 ? [skippedCases(skips)] : []),
    ...(findings.length > 0 ? [weightTable(found)] : []),
    `${results.length} ${results.length === 1 ? 'case' : 'cases'} in ${(report.ms / 1000).toFixed(1)} s: ${countsText(counts, found)}`,
  ];
  return `${parts.join('\n\n')}\n`;
}

/** Formats counts: `600 passed, 2 failed (1 cause), 0 non-strict, 0 advice, 40 skipped`. */
export function countsText(
  counts: Readonly<Record<Verdict, number>>,
  found: FindingCounts,
): string {
  const { pass, skipped, error } = counts;
  const words = (verdict: keyof FindingCounts, word: string): string =>
    `${counts[verdict]} ${word}${counts[verdict] === 0 ? '' : ` (${causesText(causesIn(found[verdict]))})`}`;
  const errors = error > 0 ? `, ${words('error', 'errors of the suite')}` : '';
  return `${pass} passed, ${words('fail', 'failed')}, ${words('non-strict', 'non-strict')}, ${words('advice', 'advice')}, ${skipped} skipped${errors}`;
}

/** Formats a number of causes: `1 cause`. */
export function causesText(count: number): string {
  return count === 1 ? '1 cause' : `${count} causes`;
}

/** Verdicts with findings, for the columns of a table. */
export function explainedIn(found: FindingCounts): (keyof FindingCounts)[] {
  return EXPLAINED.filter((verdict) => verdict !== 'error' || causesIn(found.error) > 0);
}

/** Formats the causes: a row for each weight, a column for each verdict. */
function weightTable(found: FindingCounts): string {
  const verdicts = explainedIn(found);
  const rows = WEIGHTS.map((weight) => [weight, ...verdicts.map((one) => found[one][weight])]);
  return tableText([['causes by weight', ...verdicts], ...rows]);
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
      counts.advice,
      counts.skipped,
    ];
  });
  const table = [['chapter', 'cases', 'pass', 'fail', 'non-strict', 'advice', 'skipped'], ...rows];
  return tableText(table);
}

function tableText(rows: readonly (readonly (string | number)[])[]): string {
  return rows
    .map(
      ([first, ...rest]) =>
        `  ${String(first).padEnd(30)}${rest.map((cell) => String(cell).padStart(11)).join('')}`,
    )
    .join('\n');
}

/** Formats a finding: its first case, ids and titles of all. Only a broken MUST shows its bytes. */
function explainFinding({ verdict, weight, results }: Finding, report: SuiteReport): string {
  const [first] = results as [CaseResult];
  const soft = verdict === 'non-strict' || verdict === 'advice';
  const shown = { ...first, weight, transcript: soft ? [] : first.transcript };
  const ids =
    results.length > 1
      ? [`  ${results.length} cases: ${idsText(results)}`, `    ${titlesText(results)}`]
      : [];
  return [caseText(shown), ...ids, `  again: ${againText(first, report)}`].join('\n');
}

/** The command that runs one case again. */
function againText({ id }: CaseResult, { role, target, seed, http2 }: SuiteReport): string {
  return role === 'server'
    ? `ws-conform server ${target}${http2 === true ? ' --http2' : ''} --only ${id} --seed ${seed} --verbose`
    : `ws-conform client --only ${id} --verbose -- ${target}`;
}

const REQUIREMENT: Readonly<Record<Level, string>> = {
  must: 'MUST',
  should: 'SHOULD',
  advice: 'advice, in no RFC',
};

/** Formats a case with its rule, its reasons and its bytes. */
export function caseText(result: CaseResult): string {
  return [
    `${result.verdict.toUpperCase()} ${result.id} ${result.title}`,
    `  weight: ${result.weight}`,
    `  expected: ${result.expects} (${result.section}, ${REQUIREMENT[result.level]})`,
    ...result.because.map((words) => `  but: ${words}`),
    ...result.transcript.map((line) => `    ${lineText(line)}`),
  ].join('\n');
}

/** Formats skipped cases: one entry per cause, with the reason of the first case. */
function skippedCases(skips: readonly CaseResult[]): string {
  const causes = new Map<string, CaseResult[]>();
  for (const one of skips) causes.set(causeOf(one), [...(causes.get(causeOf(one)) ?? []), one]);
  return [...causes.values()]
    .map((results) => `SKIPPED ${idsText(results)}\n  because ${results[0]!.because.join('; ')}`)
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
