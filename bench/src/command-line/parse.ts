import { parseArgs } from 'node:util';
import type { Command, CommonOption, Values, Words } from './command.ts';
import { UsageError } from './usage-error.ts';

const COMMON = {
  json: { type: 'boolean' },
  html: { type: 'string' },
  history: { type: 'boolean' },
  quick: { type: 'boolean' },
} as const satisfies Record<CommonOption, object>;

const NO_WORDS: Words = { name: 'argument', least: 0, most: 0 };

/** A parsed command line. */
export interface Parsed {
  readonly values: Values;
  readonly words: readonly string[];
  /** The file of `--json FILE`; undefined without a file. */
  readonly jsonFile: string | undefined;
}

/**
 * Parses the arguments after a command's name.
 *
 * @throws UsageError for an unknown option, an unexpected word or a missing word.
 */
export function parseCommand(args: readonly string[], command: Command): Parsed {
  const parsed = parse(args, command);
  const { values, tokens } = parsed;
  if (values['help'] === true) return { values, words: [], jsonFile: undefined };
  const { name, least, most } = command.words ?? NO_WORDS;
  const words = tokens.filter((token) => token.kind === 'positional');
  const json = tokens.find((token) => token.kind === 'option' && token.name === 'json');
  // A word after `--json` is its file, unless the command needs that word.
  const next = words.findIndex((word) => word.index - 1 === json?.index);
  const [file] = next >= 0 && words.length > least ? words.splice(next, 1) : [];
  const given = words.map(({ value }) => value);
  if (given.length > most) {
    throw new UsageError(`unexpected: ${given.slice(most).join(' ')}; see --help`);
  }
  if (given.length < least) throw new UsageError(`expected a <${name}>; see --help`);
  return { values, words: given, jsonFile: file?.value };
}

function parse(args: readonly string[], command: Command) {
  const common = command.common ?? (Object.keys(COMMON) as CommonOption[]);
  const options: Command['options'] = {
    ...command.options,
    ...Object.fromEntries(common.map((name) => [name, COMMON[name]])),
    help: { type: 'boolean', short: 'h' },
  };
  try {
    return parseArgs({
      // `--json` takes an optional file, which parseArgs does not know.
      args: args.flatMap((arg) => (arg.startsWith('--json=') ? ['--json', arg.slice(7)] : [arg])),
      allowPositionals: true,
      tokens: true,
      options,
    });
  } catch (error) {
    const { message } = error as Error;
    const [, option] = /^Unknown option '([^']+)'/.exec(message) ?? [];
    if (option !== undefined) throw new UsageError(`unknown option ${option}; see --help`);
    // Node's text has three lines.
    // `--seed -1`: parseArgs takes a negative number for an option.
    const [, named = ''] = /^Option '([^' ]+)[^]* argument is ambiguous/.exec(message) ?? [];
    const value = args[args.indexOf(named) + 1] ?? '';
    if (/^-\d/.test(value)) {
      throw new UsageError(`${named}: expected a number of at least 0, got '${value}'`);
    }
    throw new UsageError(
      message.replace(/argument (?:is ambiguous[^]*|missing)/, 'needs a value; see --help'),
    );
  }
}
