import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { parseArgs } from 'node:util';
import type { RequestSettings } from './attempts/server-attempt.ts';
import type { ListenTls } from './run/client-host.ts';
import type { Capability } from './run/suite-report.ts';
import { suggestion } from './suggest.ts';

export const HELP = `ws-conform: tests a WebSocket server or client against RFC 6455 and RFC 7692

usage: ws-conform server ws://… [options]
       ws-conform client [options] -- command…
       ws-conform client --listen HOST:PORT [options]
       ws-conform matrix [NAME=]report.json… [--html FILE] [--only GLOB] [--exclude GLOB] [--verbose]
       ws-conform rooms --help

server   tests the server at the URL; the server must echo each message with the same type and bytes
client   starts the command with a URL, which replaces {url} or is appended; the client reads the number
         of cases from URL/getCaseCount, connects to URL/runCase?case=N for N from 1, and echoes each message
matrix   shows reports of --json side by side: groups and cases by target, the differing cases first;
         --verbose prints the other cases too
rooms    tests a server or a client of calls and rooms

cases
  --only GLOB         run only these chapters, sections or cases: --only 6 --only 7.3 --only '*.1'; repeatable
  --exclude GLOB      leave these out; repeatable
  --floods            run the slow cases too: floods of 100,000 frames, handshakes that stop, and Autobahn's 1000
                      compressed messages of each size; seconds each, 10 minutes or more in all
  --list              print the cases without running them
  --dump ID           run one case and print every byte
  --seed N            server: send the same keys as the run that printed N
  --no-echo           server: it does not echo; run the cases that need no echo
  --require LIST      exit with 3 without these: compression, subprotocol (of a server: one of --subprotocol)
the target
  --header 'N: V'     server: send this field with every request: a token, a cookie; repeatable
  --origin ORIGIN     server: send this Origin with every request
  --host HOST         server: send this Host with every request, instead of the URL's
  --subprotocol NAME  server: offer this subprotocol with every request; repeatable
  --connect HOST:PORT server: connect here, instead of the URL's host and port
  --proxy URL         server: through this HTTP proxy, http://USER:PASSWORD@HOST:PORT
  --http2             server: over HTTP/2 (RFC 8441): each connection is a stream, of wss: by ALPN, of ws: by prior
                      knowledge; chapter 15 replaces 8
  --ca FILE           server: verify the certificate with these authorities; default: accept any
  --cert FILE         certificate of the suite, in PEM, with its --key FILE; client: listen for wss:
  --listen HOST:PORT  client: listen here; without a command, wait for a client that you start
  --each              client: start the command once per case, with the URL of the case
  --concurrency N     number of cases at the same time; default 16, of commands with --each 4
  --timeout MS        maximum duration of a single wait; default 5000
reports
  --verbose           print every case that did not pass, with its bytes; default: one for each cause;
                      --json then has the bytes of cases that passed, too
  --json FILE         write the report as JSON, with the first bytes of every segment
  --html FILE         write the report as one HTML page without external resources
  --junit FILE        write the report as JUnit's XML
  --badge FILE        write the counts as an SVG image
  --github            print the causes as annotations of a GitHub workflow, and add to its summary
the exit code
  --strict            fail when the target does not follow a SHOULD
  --write-expect FILE write the differences of this run
  --expect FILE       fail only when the differences are not those of FILE
  --help              print this text
  --version           print the version

exit code: 0 no case failed, 1 a case failed, 2 wrong command line or unreadable or unwritable file,
           3 the target could not be asked, every case was skipped, or the suite itself failed
SIGINT or SIGTERM: the reports contain the cases so far
`;

const OPTIONS = {
  only: { type: 'string', multiple: true },
  exclude: { type: 'string', multiple: true },
  dump: { type: 'string' },
  timeout: { type: 'string' },
  concurrency: { type: 'string' },
  seed: { type: 'string' },
  'no-echo': { type: 'boolean' },
  require: { type: 'string' },
  header: { type: 'string', multiple: true },
  origin: { type: 'string' },
  host: { type: 'string' },
  subprotocol: { type: 'string', multiple: true },
  connect: { type: 'string' },
  proxy: { type: 'string' },
  http2: { type: 'boolean' },
  ca: { type: 'string' },
  cert: { type: 'string' },
  key: { type: 'string' },
  listen: { type: 'string' },
  each: { type: 'boolean' },
  verbose: { type: 'boolean' },
  json: { type: 'string' },
  html: { type: 'string' },
  junit: { type: 'string' },
  badge: { type: 'string' },
  github: { type: 'boolean' },
  expect: { type: 'string' },
  'write-expect': { type: 'string' },
  strict: { type: 'boolean' },
  floods: { type: 'boolean' },
  list: { type: 'boolean' },
  help: { type: 'boolean' },
  version: { type: 'boolean' },
} as const;

type Parsed = ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>;

/** Values of the options. */
export type Values = Parsed['values'];

const COMMANDS = ['server', 'client', 'matrix'] as const;

/** The first argument. */
export type Command = (typeof COMMANDS)[number];

/** A command line: its options, and a server's URL, a client's command or files of a matrix. */
export interface CommandLine {
  readonly values: Values;
  readonly role: string | undefined;
  readonly rest: readonly string[];
}

/** @throws Error for an unknown option, or a client's command that is not after `--`. */
export function parse(args: readonly string[]): CommandLine {
  const { values, positionals, tokens } = parseTokens(args);
  const end = tokens.find(({ kind }) => kind === 'option-terminator');
  const command = end === undefined ? [] : args.slice(end.index + 1);
  const [role, ...words] = positionals.slice(0, positionals.length - command.length);
  if (role === 'client' && words.length > 0) {
    throw new Error(`${words[0]} is not an option; put the client's command after --`);
  }
  return { values, role, rest: role === 'client' ? command : [...words, ...command] };
}

function parseTokens(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, tokens: true });
  } catch (error) {
    const [, option] = /^Unknown option '--([^']+)'/.exec((error as Error).message) ?? [];
    if (option !== undefined) {
      const guess = suggestion(option, Object.keys(OPTIONS), '--');
      throw new Error(`unknown option --${option}${guess}`, { cause: error });
    }
    // Node adds sentences about arguments that start with a dash.
    const text = (error as Error).message.replace(/argument is ambiguous\b/, 'needs a value');
    throw new Error(`${text.replace(/\.\s[^]*/, '')}; see --help`, { cause: error });
  }
}

const SERVER_OPTIONS = [
  'seed',
  'no-echo',
  'header',
  'origin',
  'host',
  'subprotocol',
  'connect',
  'proxy',
  'http2',
  'ca',
] as const;
const CLIENT_OPTIONS = ['each', 'listen'] as const;

const MATRIX_OPTIONS: readonly string[] = ['html', 'only', 'exclude', 'verbose'];

/** @throws Error unless the first argument is a command. */
export function commandOf(word: string | undefined): Command {
  const command = COMMANDS.find((one) => one === word);
  if (command !== undefined) return command;
  throw new Error(
    word === undefined
      ? 'the first argument must be server, client or matrix; see --help'
      : `${word} is none of server, client and matrix${suggestion(word, COMMANDS)}`,
  );
}

/** @throws Error for options that do not fit the command or each other. */
export function checkOptions(role: Command, values: Values): void {
  if (role === 'matrix') {
    const foreign = Object.keys(values).find((option) => !MATRIX_OPTIONS.includes(option));
    if (foreign !== undefined) throw new Error(`--${foreign} does not apply to matrix`);
    return;
  }
  const foreign = role === 'server' ? CLIENT_OPTIONS : SERVER_OPTIONS;
  for (const option of foreign) {
    if (values[option] !== undefined) {
      throw new Error(`--${option} applies to ${role === 'server' ? 'client' : 'server'} only`);
    }
  }
  if (role === 'client' && values.concurrency !== undefined && values.each !== true) {
    throw new Error('--concurrency of a client needs --each');
  }
  if (values.dump !== undefined && (values.only ?? values.exclude) !== undefined) {
    throw new Error('--dump selects one case; remove --only and --exclude');
  }
  if ((values.cert === undefined) !== (values.key === undefined)) {
    throw new Error('--cert and --key need each other');
  }
  const needsOffer = role === 'server' && values.subprotocol === undefined;
  if (needsOffer && requiredOf(values).includes('subprotocol')) {
    throw new Error(
      '--require subprotocol of a server needs --subprotocol with a name that the server has',
    );
  }
}

/** What every request of a run against a server has in common. */
export function requestSettings(values: Values): RequestSettings {
  const { ca, cert, key, connect, proxy, origin } = values;
  const headers = (values.header ?? []).map(fieldOf);
  return {
    headers: origin === undefined ? headers : [...headers, ['Origin', lineOf('origin', origin)]],
    subprotocols: values.subprotocol,
    host: values.host === undefined ? undefined : lineOf('host', values.host),
    connect: connect === undefined ? undefined : addressOf('connect', connect),
    proxy: proxy === undefined ? undefined : proxyOf(proxy),
    tls: checkedTls({ ca: pem(ca), cert: pem(cert), key: pem(key) }),
    http2: values.http2,
    echoes: values['no-echo'] !== true,
    allBytes: values.dump !== undefined,
  };
}

/** @throws Error when OpenSSL rejects a file. Otherwise each case would fail by it. */
function checkedTls<T extends SecureContextOptions>(tls: T): T {
  try {
    createSecureContext(tls);
  } catch (error) {
    throw new Error(`--cert and --key cannot be used: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return tls;
}

/** The certificate with which the suite listens for clients; undefined without TLS. */
export function listenTls({ cert, key }: Values): ListenTls | undefined {
  return cert === undefined || key === undefined
    ? undefined
    : checkedTls({ cert: pem(cert), key: pem(key) });
}

function pem(file: string): string;
function pem(file: string | undefined): string | undefined;
function pem(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readFileSync(file, 'utf8');
}

const CAPABILITIES: readonly Capability[] = ['compression', 'subprotocol'];

/** @throws Error for an unknown name in `--require`. */
export function requiredOf({ require = '' }: Values): Capability[] {
  return require
    .split(',')
    .filter((name) => name !== '')
    .map((name) => {
      const known = CAPABILITIES.find((one) => one === name.trim());
      if (known !== undefined) return known;
      const guess = suggestion(name.trim(), CAPABILITIES);
      throw new Error(
        `--require knows ${CAPABILITIES.join(' and ')}, not ${JSON.stringify(name)}${guess}`,
      );
    });
}

/** @throws Error for a text other than `Name: value`. */
function fieldOf(text: string): readonly [string, string] {
  const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([^\r\n]*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new Error(`--header must be 'Name: value', not ${JSON.stringify(text)}`);
  }
  if (/^(?:host|upgrade|connection|sec-websocket-.*)$/i.test(name)) {
    throw new Error(`--header ${name} is a field of the handshake; see --host and --subprotocol`);
  }
  return [name, value];
}

/** @throws Error unless it is the value of a field. */
function lineOf(option: string, text: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new Error(`--${option} must be printable and without blanks, not ${JSON.stringify(text)}`);
}

/** @throws Error unless it is `host:port`. */
export function addressOf(
  option: string,
  text: string,
): { readonly host: string; readonly port: number } {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > MAX_PORT) {
    throw new Error(`--${option} must be HOST:PORT, not ${text}`);
  }
  return { host: host.replaceAll(/^\[|\]$/g, ''), port: Number(port) };
}

/** @throws Error, without the password, unless it is the URL of an HTTP proxy. */
function proxyOf(text: string): URL {
  try {
    const url = new URL(text);
    decodeURIComponent(url.username + url.password);
    const isHost = url.pathname === '/' && url.search + url.hash === '';
    if (url.protocol === 'http:' && isHost) return url;
  } catch {
    // Not a URL, or escapes that are not UTF-8.
  }
  throw new Error('--proxy must be http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT');
}

const MAX_PORT = 65_535;

/** @throws Error unless it is a whole number above 0. */
export function countOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (/^\d{1,9}$/.test(text) && count > 0) return count;
  throw new Error(`--${option} must be a whole number above 0, not ${text}`);
}

/** Destination of the command's output. */
export interface Output {
  /** Prints the report, the list or the help. */
  out(text: string): void;
  /** Prints an error message. */
  error(text: string): void;
  /**
   * Shows the progress of a run on a terminal after each case: each line replaces the previous one.
   * Absent: `error` gets ten lines in a run.
   */
  readonly progress?: ((text: string) => void) | undefined;
}
