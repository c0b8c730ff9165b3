import { number, table } from '../report/table.ts';
import { ratios, type Spread, spreadOf } from '../statistics.ts';

/** What one process has measured: nanoseconds a unit of work, by name. */
export type Round = Record<string, { readonly old: number; readonly new: number }>;

/** What has become of one subject. */
export interface Change {
  readonly name: string;
  /** Nanoseconds, the middle of the rounds. */
  readonly old: number;
  readonly new: number;
  /** How many times as fast it is as before. */
  readonly speed: Spread;
  /** So much slower that it is worth a look: beyond the spread of the rounds. */
  readonly slower: boolean;
}

/** A median below this is worth a look, */
const LIMIT = 0.9;
/** unless more than one round was as fast as this, or any of a few: that is noise. */
const AS_FAST = 0.95;
const FEW = 5;

/**
 * What has changed, in the order of the first round.
 *
 * @throws RangeError for no rounds, or rounds that measured different things.
 */
export function compareCommits(rounds: readonly Round[]): Change[] {
  return Object.keys(rounds[0] ?? {}).map((name) => {
    const readings = rounds.map((round) => {
      const reading = round[name];
      if (reading === undefined) throw new RangeError(`a round without ${name}`);
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

/** The changes as a table. `base` names what is compared with. */
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

/** What GitHub shows beside a commit: a line for each subject that has become slower. */
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
