import { WEIGHTS } from '../model/weights.ts';
import type { SuiteReport } from '../run/suite-report.ts';
import { findingCountsOf, findingsOf } from './findings.ts';

/** Width of a character of the badge, in pixels, and of the space around a text. */
const [CHARACTER, SPACE] = [7, 10];

/**
 * Formats the causes of failed cases by weight as a badge: an SVG image of one line.
 *
 * Call it like {@link textReport}.
 *
 * @param report - A finished run.
 */
export function badgeReport({ counts, results }: SuiteReport): string {
  const { fail } = findingCountsOf(findingsOf(results));
  const failed = WEIGHTS.filter((weight) => fail[weight] > 0).map(
    (weight) => `${fail[weight]} ${weight}`,
  );
  const bad = [...failed, ...(counts.error > 0 ? [`${counts.error} errors`] : [])];
  const label = 'RFC 6455';
  const text = bad.length > 0 ? bad.join(', ') : `${counts.pass} passed`;
  const [left, right] = [label, text].map((words) => words.length * CHARACTER + SPACE) as [
    number,
    number,
  ];
  const color = bad.length > 0 ? '#c62828' : '#1a7f37';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${left + right}" height="20" role="img" aria-label="${label}: ${text}">
<rect width="${left}" height="20" fill="#555"/><rect x="${left}" width="${right}" height="20" fill="${color}"/>
<g fill="#fff" text-anchor="middle" font-family="sans-serif" font-size="11"><text x="${left / 2}" y="14">${label}</text><text x="${left + right / 2}" y="14">${text}</text></g></svg>
`;
}
