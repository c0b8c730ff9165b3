import { type Assertion, type Entry, GOALS, type Holder } from '../testkit/src/hostile/bounds.ts';
import { holderFault, type TestFile } from './semantics.ts';

type SecurityMap = Readonly<Record<string, Entry>>;

/** The rows that the map has, as ids: those about HTTP/2 and about a release wait for either. */
const ROWS: ReadonlySet<number> = new Set([
  ...Array.from({ length: 133 }, (_, i) => i + 1),
  137,
  138,
  141,
  142,
]);

/** Reads the text of a test file; undefined where there is none. */
export interface Sources {
  readonly titles: (path: string) => TestFile | undefined;
  readonly text: (path: string) => string;
}

/** What is wrong with the map itself: rows that nothing holds, tests that are not there, figures that are too loose. */
export function securityFaults(map: SecurityMap, sources: Sources): string[] {
  const missing = [...ROWS].filter((id) => !(id in map)).map((id) => `${id}: not in the map`);
  const unknown = Object.keys(map).filter((id) => !ROWS.has(Number(id)));
  return [
    ...missing,
    ...unknown.map((id) => `${id}: no such row`),
    ...Object.entries(map).flatMap(([id, entry]) =>
      [
        ...holderFaults(id, entry, sources),
        ...unasserted(entry),
        ...entry.asserts.flatMap((a) => loose(a, entry)),
      ].map((fault) => `${id}: ${fault}`),
    ),
  ];
}

/** Where the map and the list of attacks differ. */
export function documentFaults(map: SecurityMap, text: string): string[] {
  const rows = new Map<string, readonly string[]>();
  for (const line of text.split('\n')) {
    const [, id, attack, how, outcome, bound] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    if (ROWS.has(Number(id))) rows.set(id!, [attack!, how!, outcome!, bound!]);
  }
  return [...ROWS].flatMap((id) => {
    const { attack, how, outcome, bound } = map[id] ?? {};
    const row = rows.get(String(id));
    if (row === undefined) return [`${id}: not in the document`];
    return row.join(' | ') === [attack, how, outcome, bound].join(' | ')
      ? []
      : [`${id}: the document says: ${row.join(' | ')}`];
  });
}

function holderFaults(id: string, { tests }: Entry, { titles, text }: Sources): string[] {
  const faults = tests.map((holder) => holderFault(holder, titles)).filter((x) => x !== undefined);
  if (faults.length > 0) return faults;
  const call = new RegExp(`\\bsurvives\\(\\s*${id},`);
  const held = tests.some(({ test }: Holder) => call.test(text(test)));
  return held ? [] : [`none of its tests calls survives(${id}, …)`];
}

/** The parts of a row's bound, each with a figure, that no assertion names: a bound that is left out is as loose as can be. */
function unasserted({ bound, asserts, reason }: Entry): string[] {
  if (reason !== undefined && reason.trim() !== '') return [];
  const parts = bound.split('; ').filter((part) => /\d/.test(part));
  return parts
    .filter((part) => !asserts.some(({ row }) => row && (part.includes(row) || row.includes(part))))
    .map((part) => `"${part}" is asserted by nothing, and there is no reason`);
}

/** A figure that is no figure of its row, or looser than the row's, or than the goal of all rows. */
function loose(assertion: Assertion, { attack, how, outcome, bound }: Entry): string[] {
  const { what, is, row, looser } = assertion;
  if (looser !== undefined) return looser.trim() === '' ? [`${what}: looser without a reason`] : [];
  if (row === undefined) {
    const goal = GOALS.find((each) => each.what === what);
    return goal === undefined || within(assertion, goal.most!, goal.perByte ?? 0)
      ? []
      : [`${what}: looser than the goal of all rows`];
  }
  if (![attack, how, outcome, bound].some((cell) => cell.includes(row))) {
    return [`${what}: the row does not say "${row}"`];
  }
  if (is !== undefined && typeof is === 'number' && !quantities(row).includes(is)) {
    return [`${what}: "${row}" does not say ${is}`];
  }
  const figures = quantities(row);
  if (assertion.most !== undefined && !within(assertion, mostOf(row), perByteOf(row))) {
    return [`${what}: at most ${assertion.most} is looser than "${row}"`];
  }
  if (assertion.least !== undefined && !(assertion.least >= Math.max(...figures))) {
    return [`${what}: at least ${assertion.least} is looser than "${row}"`];
  }
  return [];
}

function within({ most, perByte = 0 }: Assertion, limit: number, limitPerByte: number): boolean {
  return most === undefined || (most <= limit && perByte <= limitPerByte);
}

const ZERO = /\b(?:never|zero|nothing|none|no|back)\b/gi;
const UNITS: Readonly<Record<string, number>> = {
  KiB: 1024,
  MiB: 1024 * 1024,
  kB: 1000,
  MB: 1_000_000,
  s: 1000,
  us: 0.001,
};

/** The figures of a cell in bytes, milliseconds or pieces: `64 KiB`, `10 s`, `1,024`, `10^6`, `once`, `never`. */
export function quantities(text: string): number[] {
  const inDigits = text.replaceAll(/\b(?:once|one)\b/gi, '1').replaceAll(ZERO, '0');
  const figures = [
    ...inDigits.matchAll(/(\d[\d,]*(?:\.\d+)?)(?:\^(\d+))?(?: (KiB|MiB|kB|MB|s|us)\b)?/g),
  ];
  return figures.map(([, base, power, unit]) => {
    const figure = Number(base!.replaceAll(',', ''));
    return figure ** Number(power ?? 1) * (unit === undefined ? 1 : UNITS[unit]!);
  });
}

/** The largest figure that a row allows: its last one, or the sum of `131 + 127 B`. */
function mostOf(row: string): number {
  const figures = quantities(row.replace(/\bx \d+/, ''));
  return row.includes(' + ') ? figures.reduce((a, b) => a + b, 0) : (figures.at(-1) ?? 0);
}

/** `received x 2 + …` and the like: how many bytes a row allows for each that was received. */
function perByteOf(row: string): number {
  return Number(
    /received x (\d+(?:\.\d+)?)/.exec(row)?.[1] ??
      /(\d+(?:\.\d+)?) x bytes received/.exec(row)?.[1] ??
      0,
  );
}
