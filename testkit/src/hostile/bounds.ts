import { readFileSync } from 'node:fs';

/** One thing that the tests of a row assert, in bytes, milliseconds or pieces. */
export interface Assertion {
  /** `memory` (bytes held beyond the start), `stall` (ms of CPU time in one turn of the loop), or a name of the outcome. */
  readonly what: string;
  /** It is at most this. */
  readonly most?: number | undefined;
  /** It is at least this. */
  readonly least?: number | undefined;
  /** It is exactly this. */
  readonly is?: number | string | undefined;
  /** It has the machine's noise in it, as `memory` and `stall` have: what counts is the cheapest round. */
  readonly noisy?: true | undefined;
  /** For `memory`: that many bytes more for each byte received. */
  readonly perByte?: number | undefined;
  /** The words of the row that say so; none where the goal of all rows is meant. */
  readonly row?: string | undefined;
  /** Why it is looser than these words. */
  readonly looser?: string | undefined;
}

/** A test by its file and its titles, as `semantics-map.json` has them. */
export interface Holder {
  readonly test: string;
  readonly title: string;
  /** For `each`: text of the row that is meant, a string in that file. */
  readonly row?: string | undefined;
}

/** What `security-map.json` says of a row of the list of attacks and faults. */
export interface Entry {
  readonly attack: string;
  readonly how: string;
  readonly outcome: string;
  readonly bound: string;
  readonly asserts: readonly Assertion[];
  readonly tests: readonly Holder[];
  /** What we do instead, or why no test holds a part of it. */
  readonly reason?: string | undefined;
}

/** The goals that hold for every row which names no figure of its own. */
export const GOALS: readonly Assertion[] = [
  { what: 'memory', most: 64 * 1024, perByte: 2 },
  { what: 'stall', most: 20 },
];

const MAP = new URL('../../../security-map.json', import.meta.url);
let map: Readonly<Record<string, Entry>> | undefined;

/** The whole map: the figures of hostile tests stand there and nowhere else. */
export function securityMap(): Readonly<Record<string, Entry>> {
  map ??= JSON.parse(readFileSync(MAP, 'utf8')) as Readonly<Record<string, Entry>>;
  return map;
}

/** What the tests of row `id` assert of `what`; the goal of all rows where the row says nothing. */
export function boundOf(id: number, what: string): Assertion {
  const own = securityMap()[id]?.asserts.find((assertion) => assertion.what === what);
  const bound = own ?? GOALS.find((goal) => goal.what === what);
  if (bound === undefined) throw new Error(`security-map.json: row ${id} asserts no ${what}`);
  return bound;
}
