export const KIB = 1024;
export const MIB = 1024 * KIB;

/**
 * Highest CPU time of one turn of the event loop, in ms, in the cheapest round. The costliest turn
 * takes 70 ms, and twice that on a busy machine. Quadratic work takes seconds.
 */
export const STALL_MS = 1_000;

/** A limit on one figure of an outcome. */
export interface Limit {
  readonly atMost?: number;
  readonly atLeast?: number;
  /**
   * Only the lowest figure of all rounds counts, because each figure contains noise of the machine.
   */
  readonly inLowestRound?: true;
}

/** Limits a figure of each round to at most `figure`. */
export function atMost(figure: number): Limit {
  return { atMost: figure };
}

/** Limits a figure of each round to at least `figure`. */
export function atLeast(figure: number): Limit {
  return { atLeast: figure };
}

/** Limits the lowest figure of all rounds to at most `figure`: for times and memory. */
export function lowestAtMost(figure: number): Limit {
  return { atMost: figure, inLowestRound: true };
}

/** The attack that a test makes. `tests/attacks/README.md` lists it. */
export interface Attack {
  /** The attack, in words. */
  readonly attack: string;
  /** Where the rule or the attack comes from: an RFC section, a CVE, a CWE, an issue. */
  readonly source?: string;
}

/** Names an attack. `source` is an RFC section, a CVE, a CWE or an issue. */
export function claim(attack: string, source: string): Attack {
  return { attack, source };
}

/** What an attack may cost at most, what it must come to, and how often it runs. */
export interface Limits {
  /** Bytes held beyond the start. Default: 64 KiB, and two bytes for each byte received. */
  readonly memory?: number;
  /** Further bytes for each byte received. Default with `memory`: 0. */
  readonly memoryPerByte?: number;
  /**
   * Highest number of rounds. The first rounds compile code and fill pools, so memory and time
   * count from the cheapest round. No round follows once all bounds hold. Default: 12.
   */
  readonly rounds?: number;
  /** Rounds before the first one that counts. They are not measured. Default: 0. */
  readonly warmUps?: number;
  /** Figures of the outcome: a value is exact. */
  readonly [figure: string]: string | number | Limit | undefined;
}

/** An attack with its limits. */
export type Bound = Attack & Limits;

/** One figure and its limit. */
export type NamedLimit = readonly [figure: string, limit: string | number | Limit];

/** Bytes that every attack may hold besides its bound. `pnpm long http2` has some for its streams. */
export const costs = { allowance: 0 };

/** The limit of memory, which applies to every attack. */
export function memoryLimit(bound: Limits): { memory: number; perByte: number } {
  const { memory, memoryPerByte } = bound;
  return {
    memory: (memory ?? 64 * KIB) + costs.allowance,
    perByte: memoryPerByte ?? (memory === undefined ? 2 : 0),
  };
}

const NOT_FIGURES = new Set('attack source memory memoryPerByte rounds warmUps'.split(' '));

/** The limits on figures of the outcome. */
export function outcomeLimits(bound: Limits): NamedLimit[] {
  return Object.entries(bound).filter((entry): entry is [string, string | number | Limit] => {
    return !NOT_FIGURES.has(entry[0]) && entry[1] !== undefined;
  });
}
