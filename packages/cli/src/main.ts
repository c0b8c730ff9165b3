import {
  COMMANDS,
  type Command,
  type CommandName,
  countOf,
  isCommand,
  lineOf,
} from './commands.ts';
import { excerpt } from './escape.ts';
import { ExitCode, Failure, usage } from './failure.ts';
import { helpOf, overview } from './help.ts';
import { type Io, note } from './io.ts';
import { nearest, parseOptions, type Values } from './options.ts';
import { printText } from './output-buffer.ts';
import { withSecrets } from './secrets.ts';

/** Runs a command. @returns The exit code. */
type Run = (io: Io, words: readonly string[], values: Values) => Promise<number>;

/** Loads the code of a command, and nothing of the others. */
const LOADERS: Readonly<Record<CommandName, () => Promise<Run>>> = {
  connect: async () => (await import('./conversation.ts')).connect,
  listen: async () => (await import('./listen.ts')).listen,
  trace: async () => (await import('./trace.ts')).trace,
  tunnel: async () => (await import('./tunnel.ts')).tunnel,
  record: async () => (await import('./record.ts')).record,
  replay: async () => (await import('./replay.ts')).replay,
  bench: async () => (await import('./companion.ts')).companion.bind(null, 'bench'),
  check: async () => (await import('./companion.ts')).companion.bind(null, 'check'),
  completion: async () => (await import('./completion.ts')).completion,
};

/**
 * Runs the command `wsx`.
 *
 * @param args - Arguments without the names of node and script.
 * @returns The exit code. Never rejects.
 */
export async function main(args: readonly string[], io: Io): Promise<number> {
  try {
    return await run(args, io);
  } catch (error) {
    if (!(error instanceof Failure)) {
      // A defect: the stack says where.
      note(io, `wsx: ${(error as Error).stack ?? String(error)}`);
      return ExitCode.Broken;
    }
    const { cause, exitCode, message, cure } = error;
    // The reader of stdout has gone, as in `| head`: it wants no message.
    const isQuiet = (cause as NodeJS.ErrnoException | undefined)?.code === 'EPIPE';
    if (!isQuiet) note(io, `wsx: ${excerpt(message, 1_000)}${cure && `\n     ${excerpt(cure)}`}`);
    return exitCode;
  }
}

async function run(args: readonly string[], io: Io): Promise<number> {
  const [first] = args;
  if (first === undefined || ['--help', '-h', 'help'].includes(first)) {
    const word = first === 'help' ? args[1] : undefined;
    await printText(io.stdout, word !== undefined && isCommand(word) ? helpOf(word) : overview());
    return first === undefined ? ExitCode.Usage : ExitCode.Clean;
  }
  if (first === '--version') {
    await printText(io.stdout, `${await ownVersion()}\n`);
    return ExitCode.Clean;
  }
  const name: CommandName = isCommand(first) ? first : 'connect';
  const command: Command = COMMANDS[name];
  const rest = isCommand(first) ? args.slice(1) : args;
  if (command.passes === true) return (await LOADERS[name]())(io, rest, {});
  const title = name === 'connect' ? 'wsx URL' : `wsx ${name}`;
  const { values, words } = parseOptions(title, rest, command.options);
  if (values.help === true) {
    await printText(io.stdout, helpOf(name));
    return ExitCode.Clean;
  }
  checkWords(name, command, words);
  return (await LOADERS[name]())(io, words, withSecrets(values, io.env));
}

/** @throws Failure, exit code 2, for too few or too many words. */
function checkWords(name: CommandName, command: Command, words: readonly string[]): void {
  const places = command.words.split(' ');
  const [least, most] = countOf(command);
  const [word = ''] = words;
  if (name === 'connect' && /^\w+$/.test(word)) {
    const near = nearest(Object.keys(COMMANDS), word);
    if (near !== undefined || words.length > most) {
      const hint = near === undefined ? '; wsx --help lists them' : `; did you mean ${near}?`;
      throw usage(`no URL and no command: ${word}${hint}`);
    }
  }
  const cure = `for example: ${command.example}`;
  const line = lineOf(name);
  if (words.length < least) throw usage(`expected ${line}`, cure);
  if (most === 2 && isUrl(words[places.indexOf('FILE')])) {
    throw usage(`expected ${line}, got the URL instead of FILE`, cure);
  }
  if (words.length <= most) return;
  throw usage(`unexpected: ${words.slice(most).join(' ')}; expected ${line}`, cure);
}

function isUrl(word = ''): boolean {
  return /^wss?:\/\//i.test(word);
}

async function ownVersion(): Promise<string> {
  const { readFileSync } = await import('node:fs');
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string }).version;
}
