import type { OptionName } from './options.ts';

/** A command of `wsx`. */
export interface Command {
  /** Its words on the command line. One in brackets may be missing. */
  readonly words: string;
  readonly what: string;
  /** A command line to start with. */
  readonly example: string;
  readonly options: readonly OptionName[];
  /** Lines under the options. */
  readonly more?: string;
  /** Arguments go to another program as they are. */
  readonly passes?: true;
}

const FORMATS = ['binary', 'null', 'base64', 'jsonl'] as const satisfies OptionName[];
const LOGIN = ['header', 'subprotocol', 'origin', 'user'] as const satisfies OptionName[];
const NETWORK = ['proxy', 'cacert', 'insecure', 'cert', 'key'] as const satisfies OptionName[];
const CONNECTION = ['compress', 'http2', 'ping', 'max'] as const satisfies OptionName[];
const DIAL = [...LOGIN, ...NETWORK, ...CONNECTION] as const;

/** The commands, in the order of the help. `connect` is the command without a name. */
export const COMMANDS = {
  connect: {
    words: 'URL',
    what: 'a prompt on a terminal; in a pipe, lines of stdin ⇄ messages',
    example: "wsx wss://example.org/chat -H 'Cookie: session=1'",
    options: [...FORMATS, ...DIAL, 'wait', 'reconnect'],
  },
  listen: {
    words: '[HOST:][PORT]',
    what: 'serve: every client to stdout, stdin to all clients',
    example: 'wsx listen 8080 --static public',
    options: [
      'echo',
      'static',
      ...FORMATS,
      'header',
      'subprotocol',
      'origin',
      'user',
      'cert',
      'key',
      ...CONNECTION,
    ],
    more: `The port is 8080 by default, the host 127.0.0.1. --header adds headers to the
answer, --origin admits pages of another host, --user asks for a login, --cert
serves wss. On a terminal, the number before a message is its client.`,
  },
  trace: {
    words: 'URL',
    what: 'the frames of a conversation as they are on the wire',
    example: 'echo \'{"id":1}\' | wsx trace ws://127.0.0.1:8080 --compress',
    options: ['hex', 'binary', 'null', 'base64', 'jsonl', ...DIAL, 'wait', 'reconnect'],
  },
  tunnel: {
    words: 'FROM TO',
    what: 'bytes over binary messages, from a listening end to a dialed one',
    example: 'wsx tunnel tcp:5432 wss://example.org/database',
    options: DIAL,
    more: `An end is a URL (ws: wss:), tcp:[HOST:]PORT, unix:PATH or stdio:. FROM listens,
and dials TO for each connection; wss: listens with --cert. One end is a URL.`,
  },
  record: {
    words: 'URL FILE',
    what: 'as wsx URL, and writes both directions to a file',
    example: 'wsx record wss://example.org/feed feed.jsonl',
    options: ['force', ...FORMATS, ...DIAL, 'wait', 'reconnect'],
    more: 'FILE is HAR when it ends with .har, else JSON Lines. Only you can read it.',
  },
  replay: {
    words: 'FILE URL',
    what: 'sends the messages of a recording again',
    example: 'wsx replay feed.jsonl ws://127.0.0.1:8080 --expect',
    options: ['expect', 'speed', 'entry', ...FORMATS, ...DIAL, 'wait'],
    more: 'With --expect an answer has --wait seconds (10). Exit code 7: answers differ.',
  },
  bench: {
    words: 'URL [OPTIONS]',
    what: 'load an echo server: ws-bench load of @ws/bench',
    example: 'wsx bench ws://127.0.0.1:8080 --quick',
    options: [],
    passes: true,
    more: 'The options are those of ws-bench load: wsx bench --help prints them.',
  },
  check: {
    words: 'URL [OPTIONS]',
    what: 'test a server against the RFCs: ws-conform of @ws/conformance',
    example: 'wsx check ws://127.0.0.1:8080',
    options: [],
    passes: true,
    more: 'The options are those of ws-conform server: wsx check --help prints them.',
  },
  completion: {
    words: 'bash|zsh',
    what: 'print a completion script',
    example: 'source <(wsx completion bash)',
    options: [],
    more: 'For zsh: wsx completion zsh > "${fpath[1]}/_wsx"',
  },
} as const satisfies Readonly<Record<string, Command>>;

export type CommandName = keyof typeof COMMANDS;

export function isCommand(word: string): word is CommandName {
  return Object.hasOwn(COMMANDS, word);
}

/** A command with its words, as it is typed. */
export function lineOf(name: CommandName): string {
  const { words }: Command = COMMANDS[name];
  return name === 'connect' ? `wsx ${words}` : `wsx ${name} ${words}`;
}

/** The fewest and the most words of a command. */
export function countOf({ words }: Command): [least: number, most: number] {
  const all = words.split(' ');
  return [all.filter((word) => !word.startsWith('[')).length, all.length];
}
