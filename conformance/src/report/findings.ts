import type { CaseFacts, CaseResult, Verdict } from '../model/case.ts';
import { WEIGHTS, type Weight } from '../model/weights.ts';

/** Cases that differ for the same reason. */
export interface Finding {
  readonly verdict: Verdict;
  /** Effect of the difference: the heaviest weight of its cases. */
  readonly weight: Weight;
  /** In the order of the suite; the first one is the example. */
  readonly results: readonly CaseResult[];
}

/** Verdicts that a report explains, the worst first. */
export const EXPLAINED = ['error', 'fail', 'non-strict', 'advice'] as const;

/**
 * Groups the cases that did not pass by their cause: one finding for each. The worst verdicts come
 * first, then the heaviest weights.
 *
 * {@link textReport} shows them.
 */
export function findingsOf(results: readonly CaseResult[]): Finding[] {
  const groups = new Map<string, CaseResult[]>();
  for (const one of results) {
    if (!EXPLAINED.some((verdict) => verdict === one.verdict)) continue;
    const key = keyOf(one);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const findings = [...groups.values()].map((group) => ({
    verdict: group[0]!.verdict,
    weight: WEIGHTS.find((weight) => group.some((one) => one.weight === weight))!,
    results: group,
  }));
  return EXPLAINED.flatMap((verdict) =>
    WEIGHTS.flatMap((weight) =>
      findings.filter((one) => one.verdict === verdict && one.weight === weight),
    ),
  );
}

/** Number of findings of each verdict and weight. */
export type FindingCounts = Readonly<
  Record<(typeof EXPLAINED)[number], Readonly<Record<Weight, number>>>
>;

/** Counts findings: causes, not cases. {@link runServerSuite} has the results that they come from. */
export function findingCountsOf(findings: readonly Finding[]): FindingCounts {
  const count = (verdict: Verdict, weight: Weight): number =>
    findings.filter((one) => one.verdict === verdict && one.weight === weight).length;
  const row = (verdict: Verdict): Record<Weight, number> => ({
    interoperability: count(verdict, 'interoperability'),
    security: count(verdict, 'security'),
    pedantry: count(verdict, 'pedantry'),
  });
  return {
    error: row('error'),
    fail: row('fail'),
    'non-strict': row('non-strict'),
    advice: row('advice'),
  };
}

/** Sum of a row of {@link FindingCounts}. */
export function causesIn(counts: Readonly<Record<Weight, number>>): number {
  return counts.interoperability + counts.security + counts.pedantry;
}

/**
 * Faults of the target's frames and answers. They have the same cause in every case, whatever its
 * rule.
 */
const ANYWHERE =
  /^(?:the message came back as|the message came back with (\d+) bytes?, expected \1;|the target sent|the compressed data|the pong has|timeout after \d+ ms, waiting for (?:a|the last) pong|the close frame has|the answer to our close frame|the connection ended without a close frame|the target did not end|no connection to|the client did not connect|the client exited|the suite itself failed)/;

/** The target accepted what it must reject. Its reaction depends on the kind of the frame. */
const ACCEPTED =
  /^(?:timeout after .*, waiting for|received .*, expected) a failed connection\b.*|^(received .*, as if the frame were valid|the client accepted the answer \(4\.1\)):.*/;

/** Results with the same key have the same cause. */
function keyOf(result: CaseResult): string {
  const { verdict, weight, section, expects, because } = result;
  const [first = ''] = because;
  if (ANYWHERE.test(first)) return [verdict, causeOf(result)].join('\n');
  if (ACCEPTED.test(first)) return [verdict, weight, section, expects].join('\n');
  return [verdict, weight, section, causeOf(result)].join('\n');
}

/** The reasons of a result, without the numbers, bytes and type of message of its case. */
export function causeOf({ because }: Pick<CaseResult, 'because'>): string {
  return because
    .join('\n')
    .replaceAll(/; first difference at byte.*/g, '')
    .replaceAll(
      /(?:the pong has|timeout after \d+ ms, waiting for (?:a|the last) pong) ?.*/g,
      'no pong',
    )
    .replaceAll(/"[^"\n]*"/g, '"…"')
    .replaceAll(/\b[0-9a-f]{2}(?: [0-9a-f]{2})+\b/g, '…')
    .replaceAll(/\b(?:text|binary) message/g, 'message')
    .replaceAll(/\d+/g, '0')
    .replaceAll(/\b0 byte\b/g, '0 bytes');
}

/**
 * Formats ids, with ranges: `6.5.1-48 9.6.1`.
 *
 * @param most - Length in characters. A longer text ends with an ellipsis after a whole range.
 */
export function idsText(
  results: readonly Pick<CaseFacts, 'id'>[],
  most: number = Number.POSITIVE_INFINITY,
): string {
  const ranges: { section: string; first: number; last: number }[] = [];
  for (const { id } of results) {
    const dot = id.lastIndexOf('.');
    const [section, number] = [id.slice(0, dot), Number(id.slice(dot + 1))];
    const range = ranges.at(-1);
    if (range?.section === section && range.last === number - 1) range.last = number;
    else ranges.push({ section, first: number, last: number });
  }
  const text = ranges
    .map(({ section, first, last }) => `${section}.${first}${last > first ? `-${last}` : ''}`)
    .join(' ');
  return text.length > most ? `${text.slice(0, text.lastIndexOf(' ', most - 1))} …` : text;
}

/**
 * Formats titles. The words before a colon that all have in common occur once.
 *
 * @param most - Number of titles. After them, the text has the number of the others.
 */
export function titlesText(results: readonly Pick<CaseFacts, 'title'>[], most: number = 4): string {
  const [first, ...others] = results.slice(0, most).map(({ title }) => title);
  if (first === undefined) return '';
  const colon = first.indexOf(': ');
  const common = colon < 0 ? '' : first.slice(0, colon + ': '.length);
  const shared = common !== '' && results.every(({ title }) => title.startsWith(common));
  const shown = others.map((title) => (shared ? title.slice(common.length) : title));
  const more = results.length - most;
  return [first, ...shown, ...(more > 0 ? [`… and ${more} more`] : [])].join('; ');
}
