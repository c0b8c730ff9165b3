import type { Case, Level } from './case.ts';
import { weightOf } from './weights.ts';

/**
 * Chapter titles by number, for both roles. The subjects of 1 to 7, 9 and 10 are those of the
 * Autobahn suite; the cases and their ids are not: `autobahn.md` has both ids.
 *
 * @example
 * ```ts
 * import { CHAPTERS } from '@ws/conformance';
 *
 * console.log(CHAPTERS[6]); // UTF-8
 * ```
 */
export const CHAPTERS: Readonly<Record<number, string>> = {
  1: 'framing',
  2: 'pings and pongs',
  3: 'reserved bits',
  4: 'opcodes',
  5: 'fragmentation',
  6: 'UTF-8',
  7: 'closing',
  8: 'handshake',
  9: 'limits and sizes',
  10: 'segmentation',
  11: 'masks',
  12: 'compression',
  13: 'parameters of compression',
  14: 'TLS',
  15: 'handshake over HTTP/2',
};

/** Facts that all cases of a section share. */
export interface SectionFacts {
  /** What its cases have in common. Their titles begin with it. Default: they say it themselves. */
  readonly title?: string;
  /** Source of the rule, such as `RFC 6455, 5.2`. */
  readonly section: string;
  /** What a correct target does. */
  readonly expects: string;
  /** Default: `must`. */
  readonly level?: Level;
  /** True: the cases take seconds, and a run has them only on demand. Default: false. */
  readonly flood?: boolean;
}

/** Collects the cases of one chapter and numbers them. */
export class Chapter<Context> {
  readonly number: number;
  readonly cases: Omit<Case<Context>, 'weight'>[] = [];
  #sections = 0;

  constructor(number: number) {
    this.number = number;
  }

  /**
   * Starts the next section.
   *
   * @returns A function that adds a case to the section. A case may override the section's facts.
   */
  section(facts: SectionFacts): AddCase<Context> {
    const section = ++this.#sections;
    let count = 0;
    return (title, run, own) => {
      const id = `${this.number}.${section}.${++count}`;
      this.cases.push({
        id,
        chapter: this.number,
        title: facts.title === undefined ? title : `${facts.title}: ${title}`,
        expects: own?.expects ?? facts.expects,
        section: own?.section ?? facts.section,
        level: own?.level ?? facts.level ?? 'must',
        flood: facts.flood ?? false,
        target: own?.target?.replace('{id}', id),
        run,
      });
    };
  }
}

/** Lists the cases of a role, in the order of the chapters. */
export function casesOf<Context>(
  role: 'server' | 'client',
  chapters: readonly Chapter<Context>[],
): Case<Context>[] {
  return chapters
    .flatMap(({ cases }) => cases)
    .map((one) => ({ ...one, weight: weightOf(role, one.id) }));
}

/** Adds a case to a section. */
export type AddCase<Context> = (
  title: string,
  run: (context: Context) => Promise<void>,
  own?: Partial<SectionFacts> & {
    /** As {@link Case.target}, with `{id}` for the id. */
    readonly target?: string;
  },
) => void;
