import { ratios, type Spread, spreadOf } from '../harness/statistics.ts';
import { number, table } from '../report/table.ts';

/** The result of one process: nanoseconds for a unit of work, by name. */
export type Round = Record<string, { readonly old: number; readonly new: number }>;

/** The change of one subject. */
export interface Change {
  readonly name: string;
  /** Nanoseconds, median of the rounds. */
  readonly old: number;
  readonly new: number;
  /** Speed of the new code, as times that of the old. */
  readonly speed: Spread;
  /** Whether the new code is slower by more than the spread of the rounds. */
  readonly slower: boolean;
}

/** A median speed below this counts as slower, unless … */
const LIMIT = 0.9;
/**
 * … more than one round reached this speed, or a single one of a few rounds. Such a change is
 * noise.
 */
const AS_FAST = 0.95;
const FEW = 5;

/**
 * The changes, in the order of the first round.
 *
 * @throws RangeError for rounds that measured different subjects.
 */
export function compareCommits(rounds: readonly Round[]): Change[] {
  return Object.keys(rounds[0] ?? {}).map((name) => {
    const readings = rounds.map((round) => {
      const reading = round[name];
      if (reading === undefined) throw new RangeError(`a round lacks ${name}`);
      return reading;
    });
    const old = readings.map((reading) => reading.old);
    const now = readings.map((reading) => reading.new);
    const each = ratios(old, now);
    const speed = spreadOf(each);
    const asFast = each.filter((ratio) => ratio >= AS_FAST).length;
    return {
      name,
      old: spreadOf(old).median,
      new: spreadOf(now).median,
      speed,
      slower: speed.median < LIMIT && asFast <= (rounds.length < FEW ? 0 : 1),
    };
  });
}

/** The changes as a table. `base` names the old commit. */
export function tableOf(changes: readonly Change[], base: string): string {
  const rows = changes.map(({ name, old, new: now, speed, slower }) => [
    name,
    number(old),
    number(now),
    number(speed.median),
    spread(speed),
    slower ? 'SLOWER' : '',
  ]);
  return table(['codec', `${base} ns`, 'now ns', 'speed', 'rounds', ''], rows);
}

/** Workflow commands that GitHub shows beside a commit: one warning for each slower subject. */
export function annotationsOf(changes: readonly Change[], base: string): string[] {
  return changes
    .filter(({ slower }) => slower)
    .map(({ name, speed }) => {
      const text = `${name}: ${number(speed.median)} times as fast as ${base} (${spread(speed)})`;
      return `::warning title=codec slower::${text}`;
    });
}

function spread({ least, most }: Spread): string {
  return `${number(least)}-${number(most)}`;
}
