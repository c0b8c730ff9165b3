import type { Verdict } from './campaign.ts';
import { shown } from './source.ts';

/** Why a mutant may survive, or all mutants of a place and kind. A missing field matches all. */
export interface Accepted {
  /** Path from the root of the repository. */
  readonly file: string;
  /** The names around the mutant, or the outermost of them. */
  readonly within?: string;
  readonly kind?: string | readonly string[];
  /** Text of the line in which the mutant begins. */
  readonly line?: string | readonly string[];
  readonly change?: string | readonly string[];
  readonly reason: string;
}

/** A mutant that no test has killed. */
export interface Survivor {
  readonly file: string;
  readonly number: number;
  readonly within: string;
  readonly kind: string;
  readonly line: string;
  readonly change: string;
  readonly outcome: 'survived' | 'no coverage';
  /** Undefined for a survivor that is not on the list. */
  readonly reason: string | undefined;
}

/** The survivors among the verdicts, each with its reason. */
export function survivorsOf(
  verdicts: readonly Verdict[],
  texts: ReadonlyMap<string, string>,
  accepted: readonly Accepted[],
): Survivor[] {
  const survivors: Survivor[] = [];
  for (const { path, mutant, outcome } of verdicts) {
    if (outcome !== 'survived' && outcome !== 'no coverage') continue;
    const { kind, within, line: number } = mutant;
    const found = { file: path, number, within, kind, ...shown(texts.get(path)!, mutant) };
    const reason = accepted.find((entry) => matches(entry, found))?.reason;
    survivors.push({ ...found, outcome, reason });
  }
  return survivors;
}

/** Entries of these files that match no survivor. */
export function staleEntries(
  accepted: readonly Accepted[],
  survivors: readonly Survivor[],
  files: readonly string[],
): Accepted[] {
  return accepted.filter(
    (entry) => files.includes(entry.file) && !survivors.some((found) => matches(entry, found)),
  );
}

/** A survivor in three lines. */
export function textOf(survivor: Survivor): string {
  const { file, number, within, kind, line, change, outcome } = survivor;
  return `${file}:${number}  ${kind}, ${outcome}, in ${within || 'the file'}\n  ${line}\n  ${change}`;
}

function matches(
  entry: Accepted,
  found: Pick<Survivor, 'file' | 'within' | 'kind' | 'line' | 'change'>,
): boolean {
  const { within = '' } = entry;
  return (
    entry.file === found.file &&
    (within === '' || found.within === within || found.within.startsWith(`${within}.`)) &&
    includes(entry.kind, found.kind) &&
    includes(entry.line, found.line) &&
    includes(entry.change, found.change)
  );
}

function includes(wanted: string | readonly string[] | undefined, text: string): boolean {
  return wanted === undefined || [wanted].flat().includes(text);
}
