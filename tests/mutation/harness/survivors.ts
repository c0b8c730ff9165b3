import type { Verdict } from './campaign.ts';
import { shown } from './source.ts';

/**
 * Why a mutant, or every one of a place and kind, may live. What is left out matches all.
 */
export interface Accepted {
  /** Path from the root of the repository. */
  readonly file: string;
  /** The names around it, or the outermost of them. */
  readonly within?: string;
  readonly kind?: string | readonly string[];
  /** The text of the line that it begins in. */
  readonly line?: string | readonly string[];
  readonly change?: string | readonly string[];
  readonly reason: string;
}

/** A mutant that no test has noticed. */
export interface Survivor {
  readonly file: string;
  readonly number: number;
  readonly within: string;
  readonly kind: string;
  readonly line: string;
  readonly change: string;
  readonly outcome: 'survived' | 'no coverage';
  /** Undefined for one that is new. */
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

/** What is on the list for these files, and lives no more. */
export function outlived(
  accepted: readonly Accepted[],
  survivors: readonly Survivor[],
  files: readonly string[],
): Accepted[] {
  return accepted.filter(
    (entry) => files.includes(entry.file) && !survivors.some((found) => matches(entry, found)),
  );
}

function matches(
  entry: Accepted,
  found: Pick<Survivor, 'file' | 'within' | 'kind' | 'line' | 'change'>,
): boolean {
  const { within = '' } = entry;
  return (
    entry.file === found.file &&
    (within === '' || found.within === within || found.within.startsWith(`${within}.`)) &&
    isAmong(entry.kind, found.kind) &&
    isAmong(entry.line, found.line) &&
    isAmong(entry.change, found.change)
  );
}

function isAmong(wanted: string | readonly string[] | undefined, text: string): boolean {
  if (wanted === undefined) return true;
  return typeof wanted === 'string' ? wanted === text : wanted.includes(text);
}
