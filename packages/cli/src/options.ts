import { parseArgs } from 'node:util';
import { isNear } from '@ws/codec/internal';
import { usage } from './failure.ts';

/** An option of the command line. */
export interface Option {
  readonly short?: string;
  /** The name of its value in the help; an option without it is a flag. */
  readonly value?: string;
  readonly multiple?: boolean;
  readonly what: string;
}

/** Every option, once. Each command lists those that it has. */
export const OPTIONS = {
  binary: { what: 'stdin is one binary message; stdout gets raw bytes' },
  null: { short: '0', what: 'a NUL byte ends each message, not a line break' },
  base64: { what: 'each line is a binary message in base64' },
  jsonl: { what: 'each line is {"type":"text"|"binary","data":"…"}' },
  wait: {
    short: 'w',
    value: 'SECONDS',
    what: 'wait for answers after stdin ends (1), or forever',
  },
  max: { value: 'BYTES', what: 'longest message to accept, such as 64k or 16M' },
  reconnect: { what: 'dial again when the connection breaks' },
  ping: { value: 'SECONDS', what: 'ping after this much silence (20); 0 for never' },
  header: {
    short: 'H',
    value: "'NAME: VALUE'",
    multiple: true,
    what: 'header, repeatable; or @FILE with one a line',
  },
  subprotocol: { short: 's', value: 'NAME', multiple: true, what: 'subprotocol; repeatable' },
  origin: { short: 'o', value: 'URL', what: 'the Origin to send' },
  user: { short: 'u', value: 'NAME:PASSWORD', what: 'log in by HTTP Basic; or @FILE, @env:NAME' },
  proxy: { value: 'URL', what: "proxy, or none; default: the environment's" },
  cacert: { value: 'FILE', what: 'trust the authorities in this PEM file' },
  insecure: { short: 'k', what: 'accept any certificate' },
  cert: { value: 'FILE', what: 'own certificate in PEM; its key too without --key' },
  key: { value: 'FILE', what: 'private key of --cert in PEM' },
  compress: { what: 'permessage-deflate' },
  http2: { what: 'WebSockets over HTTP/2 (RFC 8441)' },
  echo: { what: 'send each message back to its client' },
  static: { value: 'DIR', what: 'serve the files of a folder to browsers' },
  hex: { what: 'print whole payloads in hex' },
  expect: { what: 'compare the answers with the recorded ones' },
  speed: { value: 'N', what: 'N times as fast as recorded; 0: without pauses' },
  force: { short: 'f', what: 'replace FILE if it has content' },
  entry: { value: 'N', what: 'connection of a HAR file that has several' },
  help: { short: 'h', what: 'print this' },
} as const satisfies Readonly<Record<string, Option>>;

export type OptionName = keyof typeof OPTIONS;

type Value<O extends Option> = O extends { readonly multiple: true }
  ? readonly string[]
  : O extends { readonly value: string }
    ? string
    : boolean;

/** The given options, by name. */
export type Values = {
  readonly [N in OptionName]?: Value<(typeof OPTIONS)[N]> | undefined;
};

/**
 * Parses the arguments of a command.
 *
 * @param command - Its name, for messages.
 * @throws Failure, exit code 2, for an option that is unknown, lacks its value, or belongs to another command.
 */
export function parseOptions(
  command: string,
  args: readonly string[],
  names: readonly OptionName[],
): { readonly values: Values; readonly words: readonly string[] } {
  const known = [...names, 'help'] as const;
  const options = Object.fromEntries(
    known.map((name) => {
      const { value, short, multiple }: Option = OPTIONS[name];
      const type = value === undefined ? ('boolean' as const) : ('string' as const);
      return [name, { type, ...(short && { short }), ...(multiple && { multiple }) }];
    }),
  );
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options,
      allowPositionals: true,
    });
    return { values, words: positionals };
  } catch (error) {
    const help = command === 'wsx URL' ? 'wsx connect' : command;
    throw usage(reasonOf(command, error as Error), `${help} --help lists the options`);
  }
}

function reasonOf(command: string, { message }: Error): string {
  const [, unknown] = /^Unknown option '(-[^']+)'/.exec(message) ?? [];
  if (unknown === undefined) {
    // Node's text has several lines, and describes each option in its own way.
    const [, option = ''] = /^Option '([^' ]+)/.exec(message) ?? [];
    if (/ambiguous|missing/.test(message)) return `${longName(option)} needs a value`;
    return message.split('\n', 1)[0]!;
  }
  const name = unknown.replace(/^-+/, '');
  const isOther = Object.entries<Option>(OPTIONS).some(
    ([long, { short }]) => unknown === `--${long}` || unknown === `-${short}`,
  );
  if (isOther) return `${command} has no option ${unknown}`;
  const near = nearest(Object.keys(OPTIONS), name);
  return `unknown option ${unknown}${near === undefined ? '' : `; did you mean --${near}?`}`;
}

/** @param option - As Node prints it: `-H, --header` or `--header`. */
function longName(option: string): string {
  return option.replace(/^-\w, /, '').replace(/,$/, '');
}

/** The name that a misspelled, shortened or extended word means. */
export function nearest(names: readonly string[], word: string): string | undefined {
  const isPart = (name: string): boolean => name.startsWith(word) || word.startsWith(name);
  return names.find((name) => (word.length > 2 && isPart(name)) || isNear(word, name));
}

/**
 * Reads a time in seconds.
 *
 * @returns Milliseconds; undefined when the option was not given.
 * @throws Failure, exit code 2, for another text.
 */
export function milliseconds(name: OptionName, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+(?:\.\d+)?$/.test(text) && Number(text) <= 1e6) return Math.round(Number(text) * 1000);
  throw usage(`--${name}: expected seconds, such as 5 or 0.5, got ${text}`);
}

/** As {@link milliseconds}; `forever` is Infinity. */
export function waitOf(text: string | undefined): number | undefined {
  return text === 'forever' ? Infinity : milliseconds('wait', text);
}

const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['k', 1024],
  ['m', 1024 ** 2],
  ['g', 1024 ** 3],
]);

/**
 * Reads a size: `65536`, `64k`, `16M`, `1G`, with or without `iB` after the letter.
 *
 * @throws Failure, exit code 2, for another text.
 */
export function sizeOf(name: OptionName, text: string): number {
  const [, number, unit = ''] = /^(\d+)([kmg]?)(?:i?b)?$/i.exec(text) ?? [];
  const bytes = Number(number) * UNITS.get(unit.toLowerCase())!;
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw usage(`--${name}: expected bytes, such as 65536, 64k or 16M, got ${text}`);
}
