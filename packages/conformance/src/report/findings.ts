import type { CaseFacts, CaseResult, Verdict } from '../model/case.ts';

/** Cases that differ for the same reason. */
export interface Finding {
  readonly verdict: Verdict;
  /** In the order of the suite; the first one is the example. */
  readonly results: readonly CaseResult[];
}

/** Verdicts that a report explains, the worst first. */
const EXPLAINED: readonly Verdict[] = ['error', 'fail', 'non-strict', 'advice'];

/**
 * Groups the cases that did not pass by their verdict, reason and section.
 *
 * {@link textReport} shows them.
 */
export function findingsOf(results: readonly CaseResult[]): Finding[] {
  const found = EXPLAINED.flatMap((verdict) => results.filter((one) => one.verdict === verdict));
  const groups = new Map<string, CaseResult[]>();
  for (const one of found) {
    const key = [one.verdict, one.section, causeOf(one)].join('\n');
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()].map((group) => ({ verdict: group[0]!.verdict, results: group }));
}

/** The reasons of a result, without the numbers, bytes and type of message of its case. */
export function causeOf({ because }: CaseResult): string {
  return because
    .join('\n')
    .replaceAll(/"[^"\n]*"/g, '"…"')
    .replaceAll(/\b[0-9a-f]{2}(?: [0-9a-f]{2})+\b/g, '…')
    .replaceAll(/\b(?:text|binary) message/g, 'message')
    .replaceAll(/\d+/g, '0')
    .replaceAll(/\b0 byte\b/g, '0 bytes');
}

/** Formats ids, with ranges: `6.5.1-48 9.6.1`. */
export function idsText(results: readonly CaseFacts[]): string {
  const ranges: { section: string; first: number; last: number }[] = [];
  for (const { id } of results) {
    const dot = id.lastIndexOf('.');
    const [section, number] = [id.slice(0, dot), Number(id.slice(dot + 1))];
    const range = ranges.at(-1);
    if (range?.section === section && range.last === number - 1) range.last = number;
    else ranges.push({ section, first: number, last: number });
  }
  return ranges
    .map(({ section, first, last }) => `${section}.${first}${last > first ? `-${last}` : ''}`)
    .join(' ');
}
