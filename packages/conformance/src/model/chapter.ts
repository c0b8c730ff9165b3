import type { Case, Level } from './case.ts';

/** The chapters of the suite, for both roles; their order and numbers are those of the Autobahn suite where it has them. */
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
};

/** What the cases of a section have in common. */
export interface SectionFacts {
  /** `RFC 6455, 5.2`. */
  readonly section: string;
  readonly expects: string;
  /** Default `must`. */
  readonly level?: Level;
}

/** Collects the cases of one chapter and numbers them. */
export class Chapter<Context> {
  readonly number: number;
  readonly cases: Case<Context>[] = [];
  #sections = 0;

  constructor(number: number) {
    this.number = number;
  }

  /** Opens the next section; the returned function adds a case to it. A case may differ from its section's facts. */
  section(facts: SectionFacts): AddCase<Context> {
    const section = ++this.#sections;
    let count = 0;
    return (title, run, own) => {
      this.cases.push({
        id: `${this.number}.${section}.${++count}`,
        chapter: this.number,
        title,
        expects: own?.expects ?? facts.expects,
        section: own?.section ?? facts.section,
        level: own?.level ?? facts.level ?? 'must',
        run,
      });
    };
  }
}

/** Adds a case to a section. */
export type AddCase<Context> = (
  title: string,
  run: (context: Context) => Promise<void>,
  own?: Partial<SectionFacts>,
) => void;
