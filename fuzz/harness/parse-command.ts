import { parseArgs } from 'node:util';

/** What the arguments ask for. */
export type Command =
  | { readonly kind: 'help' }
  | { readonly kind: 'list' }
  | { readonly kind: 'replay'; readonly target: string; readonly file: string }
  | {
      readonly kind: 'fuzz';
      readonly targets: readonly string[];
      /** For each target. */
      readonly minutes: number;
      readonly seed: number;
      readonly keep: boolean;
    }
  | {
      readonly kind: 'laws';
      readonly laws: readonly string[];
      /** How long, or with how many inputs, each test of a law runs. */
      readonly budget: { readonly minutes: number } | { readonly runs: number };
      readonly seed: number;
      /** Folder of a checkout with which laws compare this one. */
      readonly against: string | undefined;
    };

/** The names that arguments may contain. */
export interface CommandNames {
  readonly targets: readonly string[];
  readonly laws: readonly string[];
}

/** Arguments that ask for nothing this program does. The message says which. */
export class UsageError extends Error {}

const NAMED_MINUTES = 10;
/** About ten seconds. */
const SHORT_MINUTES = 0.17;

export function usage({ laws }: CommandNames): string {
  return `usage: pnpm fuzz [target...] [--minutes <n>] [--seed <n>] [--keep]
       pnpm fuzz <target> --replay <file>
       pnpm fuzz laws [law...] [--minutes <n> | --runs <n>] [--seed <n>] [--against <folder>]
       pnpm fuzz --list

  target      one or more of the names that --list prints; default: all
  law         one or more of these; default: all
              ${laws.join(' ')}
  --minutes   minutes for each target or for each test of a law;
              default: ${NAMED_MINUTES} for targets given by name, else ${SHORT_MINUTES}
  --runs      inputs for each test of a law, instead of minutes
  --against   checkout of another commit, installed: the law walks compares it with this one
  --seed      seed of an earlier run, to repeat it; default: a new seed, which is printed
  --keep      merge the inputs that reached new code into fuzz/corpus, and delete those that
              they replace; a run with a finding keeps nothing
  --replay    run only the input in this file, such as the file of a finding
  --list      print the targets
  --help      print this text

Exit code: 0 if nothing was found, 1 for a finding, 2 for invalid arguments.`;
}

/**
 * Reads the arguments of the command line, without the program's name.
 *
 * @throws {@link UsageError}
 */
export function parseCommand(args: readonly string[], names: CommandNames): Command {
  const { values, positionals } = readArguments(args);
  if (values.help) return { kind: 'help' };
  if (values.list) return { kind: 'list' };
  const { minutes, runs, seed: given, keep = false, replay: file, against } = values;
  const seed = numberOf('seed', given ?? String(Date.now() % 2 ** 31), /^\d{1,10}$/);
  if (positionals[0] === 'laws') {
    if (keep || file !== undefined) throw new UsageError('laws: --keep and --replay need a target');
    if (minutes !== undefined && runs !== undefined) {
      throw new UsageError('laws: give --minutes or --runs, not both');
    }
    const laws = known('law', positionals.slice(1), names.laws);
    const budget =
      runs === undefined
        ? { minutes: minutesOf(minutes, SHORT_MINUTES) }
        : { runs: numberOf('runs', runs, /^[1-9]\d{0,9}$/) };
    return { kind: 'laws', laws, budget, seed, against };
  }
  if (runs !== undefined || against !== undefined) {
    throw new UsageError('--runs and --against need laws');
  }
  const targets = known('target', positionals, names.targets);
  if (file !== undefined) {
    if (positionals.length !== 1) throw new UsageError('--replay needs the name of one target');
    return { kind: 'replay', target: targets[0]!, file };
  }
  const usual = positionals.length > 0 ? NAMED_MINUTES : SHORT_MINUTES;
  return { kind: 'fuzz', targets, minutes: minutesOf(minutes, usual), seed, keep };
}

function readArguments(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        minutes: { type: 'string' },
        runs: { type: 'string' },
        seed: { type: 'string' },
        against: { type: 'string' },
        keep: { type: 'boolean' },
        replay: { type: 'string' },
        list: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    // Node adds sentences about arguments that start with a dash.
    const text = (error as Error).message.replace(/argument is ambiguous\b/, 'needs a value');
    throw new UsageError(text.replace(/\.\s[^]*/, ''));
  }
}

/** Returns the names that were given, or all names if none was given. */
function known(kind: string, given: readonly string[], all: readonly string[]): readonly string[] {
  const unknown = given.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new UsageError(`unknown ${kind}: ${unknown}`);
  return given.length > 0 ? given : all;
}

/** Rejects zero minutes: such a run would report success without an input. */
function minutesOf(text: string | undefined, usual: number): number {
  if (text === undefined) return usual;
  return numberOf('minutes', text, /^(?=.*[1-9])\d{1,5}(?:\.\d+)?$/);
}

function numberOf(option: string, text: string, form: RegExp): number {
  if (form.test(text)) return Number(text);
  throw new UsageError(`--${option}: invalid number: ${text}`);
}
