import { COMMANDS, type Command, type CommandName, lineOf } from './commands.ts';
import { OPTIONS, type Option, type OptionName } from './options.ts';

/** The help of `wsx`: one screen of 24 lines. */
export function overview(): string {
  const rows = Object.entries<Command>(COMMANDS).map(
    ([name, { what }]) => `  ${lineOf(name as CommandName).padEnd(28)} ${what}`,
  );
  return `wsx wss://example.org/chat        begin with this, or with: wsx listen

${rows.map((row) => wrap(row, 31)).join('\n')}

wsx COMMAND --help prints its options; wsx connect --help those of wsx URL.
wsx --version prints the version. Exit codes: 0 clean close, 1 broken, 2 usage,
3 no connection, 4 handshake refused, 5 other close code, 6 too long, 7 other
answers, 8 input or output, 130 interrupted.
`;
}

/** Breaks a line of more than 80 characters before its last words. */
function wrap(row: string, indent: number): string {
  if (row.length <= 80) return row;
  const at = row.lastIndexOf(' ', 80);
  return `${row.slice(0, at)}\n${' '.repeat(indent)}${row.slice(at + 1)}`;
}

/** The help of a command: one screen. It begins with an example. */
export function helpOf(name: CommandName): string {
  const { what, example, options, more }: Command = COMMANDS[name];
  const line = lineOf(name);
  const list = options.map(optionLine);
  const usage = options.length === 0 ? line : `${line} [OPTIONS]`;
  return [example, wrap(`${usage}: ${what}`, 4), ...list, ...(more === undefined ? [] : [more])]
    .map((text) => `${text}\n`)
    .join('');
}

function optionLine(name: OptionName): string {
  const { short, value, what }: Option = OPTIONS[name];
  const long = `--${name}${value === undefined ? '' : ` ${value}`}`;
  return `  ${short === undefined ? '    ' : `-${short}, `}${long.padEnd(22)} ${what}`;
}
