import { withoutMarked } from './markers.ts';

const NUMBER = String.raw`(?:\d[\d.,]*|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|hundred|thousand)`;
const ONE = String.raw`(?:a|an|one|per|each|for (?:a|an|each|every))`;

/** Patterns of a performance figure. `64 x 16 B` and the size of a buffer are none. */
const FIGURES: readonly RegExp[] = [
  // 7 x, 7.1×, x 7.1, seven times, twice as
  RegExp(String.raw`\b${NUMBER}[ -]?(?:×|x\b(?! ?\d)|times\b|fold\b)`, 'i'),
  RegExp(String.raw`× ?\d`),
  /\b(?:twice|half) (?:as|the|that|of)\b/i,
  // 40 ns, 1.5 ms, 12 s, 30 minutes, 15 %
  RegExp(
    String.raw`\b${NUMBER} ?(?:[num\u00b5\u03bc]?s|seconds?|minutes?|hours?|per ?cent|%)(?!\w)`,
    'i',
  ),
  // 900 MB/s, 40,000 messages a second, 6,000 B a connection
  RegExp(
    String.raw`\b${NUMBER} ?[kMG]?i?(?:B|bit|bytes)(?:/s|ps| ${ONE} (?:idle )?(?:second|message|frame|connection|socket)\b)`,
    'i',
  ),
  RegExp(
    String.raw`\b${NUMBER}[kM]? (?:messages|frames|echoes|requests|connections) ${ONE} (?:CPU )?second\b`,
    'i',
  ),
  RegExp(String.raw`\b${NUMBER} (?:as fast|faster|slower)\b`, 'i'),
];

/** A handwritten figure. */
export interface StrayFigure {
  /** Line number from 1. */
  readonly line: number;
  readonly figure: string;
}

/** The performance figures of a page outside its markers. */
export function strayFigures(page: string): StrayFigure[] {
  return withoutMarked(page)
    .split('\n')
    .flatMap((text, index) =>
      FIGURES.flatMap((pattern) => {
        const [figure] = pattern.exec(text) ?? [];
        return figure === undefined ? [] : [{ line: index + 1, figure }];
      }),
    );
}
