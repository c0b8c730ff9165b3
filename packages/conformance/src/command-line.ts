import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { CaseFacts } from './model/case.ts';
import { CHAPTERS } from './model/chapter.ts';
import { badgeReport } from './report/badge.ts';
import {
  type Expectations,
  expectationsOf,
  parseExpectations,
  unexpectedOf,
} from './report/expectations.ts';
import { githubReport } from './report/github.ts';
import { htmlReport } from './report/html.ts';
import { jsonReport } from './report/json.ts';
import { junitReport } from './report/junit.ts';
import { failsRun } from './report/outcome.ts';
import { textReport } from './report/text.ts';
import { probeServer } from './run/probe.ts';
import { clientSuiteCases, runClientSuite } from './run/run-client.ts';
import { runServerSuite, serverSuiteCases } from './run/run-server.ts';
import type { SuiteOptions, SuiteReport } from './run/suite-report.ts';

const HELP = `ws-conform: tests a WebSocket server or client against RFC 6455 and RFC 7692

usage: ws-conform server ws://… [options]
       ws-conform client [options] -- command…
       ws-conform client --listen HOST:PORT [options]

server   tests the server at the URL; the server must echo each message with the same type and bytes
client   starts the command with a URL, which replaces {url} or is appended; the client reads the number
         of cases from URL/getCaseCount, connects to URL/runCase?case=N for N from 1, and echoes each message

cases
  --only GLOB         run only these chapters, sections or cases: --only 6 --only 7.3 --only '*.1'; repeatable
  --list              print the cases without running them
  --seed N            server: send the same keys as the run that printed N
the target
  --header 'N: V'     server: send this field with every request: a token, a cookie, an origin; repeatable
  --subprotocol NAME  server: offer this subprotocol with every request; repeatable
  --listen HOST:PORT  client: listen here; without a command, wait for a client that you start
  --each              client: start the command once per case, with the URL of the case
  --concurrency N     number of cases at the same time; default 16, of commands with --each 4
  --timeout MS        maximum duration of a single wait; default 5000
reports
  --verbose           print every case that did not pass; default: one example for each cause
  --json FILE         write the report as JSON, with the first bytes of every segment
  --html FILE         write the report as one HTML page without external resources
  --junit FILE        write the report as JUnit's XML
  --badge FILE        write the counts as an SVG image
  --github            print the causes as annotations of a GitHub workflow
the exit code
  --strict            fail when the target does not follow a SHOULD
  --write-expect FILE write the differences of this run
  --expect FILE       fail only when the differences are not those of FILE
  --help              print this text

exit code: 0 no case failed, 1 a case failed, 2 wrong command line or unreadable or unwritable file,
           3 the target could not be asked, or the suite itself failed
`;

const OPTIONS = {
  only: { type: 'string', multiple: true },
  timeout: { type: 'string' },
  concurrency: { type: 'string' },
  seed: { type: 'string' },
  header: { type: 'string', multiple: true },
  subprotocol: { type: 'string', multiple: true },
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
  list: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

/** Destination of the command's output. */
export interface Output {
  /** Prints the report, the list or the help. */
  out(text: string): void;
  /** Prints an error message. */
  error(text: string): void;
  /**
   * Shows the progress of a run; each line replaces the previous one. Absent without a terminal.
   */
  readonly progress?: ((text: string) => void) | undefined;
}

/**
 * Runs the command `ws-conform`.
 *
 * @param args - Arguments without the names of node and script.
 * @returns The exit code: 0 to 3. Never rejects.
 */
export async function main(args: readonly string[], output: Output): Promise<number> {
  try {
    return await run(args, output);
  } catch (error) {
    output.error(`ws-conform: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
}

type Values = ReturnType<typeof parse>['values'];

async function run(args: readonly string[], output: Output): Promise<number> {
  const { values, role, rest } = parse(args);
  if (values.help === true || args.length === 0) {
    output.out(HELP);
    return args.length === 0 ? 2 : 0;
  }
  if (role !== 'server' && role !== 'client') {
    throw new Error(
      `${role === undefined ? 'the first argument must be server or client' : `${role} is neither server nor client`}; see --help`,
    );
  }
  checkOptions(role, values);
  const cases = (role === 'server' ? serverSuiteCases : clientSuiteCases)(values.only);
  if (cases.length === 0) throw new Error(`no case matches ${values.only?.join(' ')}; see --list`);
  if (values.list === true) {
    output.out(listOf(cases));
    return 0;
  }
  const expected =
    values.expect === undefined
      ? undefined
      : parseExpectations(readFileSync(values.expect, 'utf8'), role);
  openFiles(values);
  const progress = progressOf(cases.length, output);
  const report =
    role === 'server'
      ? await askServer(rest, values, progress)
      : await askClient(rest, values, progress, output);
  if (typeof report === 'string') {
    output.error(`ws-conform: could not ask ${rest[0]}: ${report}\n`);
    return NOT_ASKED;
  }
  output.out(textReport(report, values));
  writeReports(report, values, output);
  return exitCode(report, values, expected, output);
}

/** The exit code when the target could not be asked, or the suite itself failed. */
const NOT_ASKED = 3;

/** The options that name a file, with the writer of its content. */
const FILES = {
  json: jsonReport,
  html: htmlReport,
  junit: junitReport,
  badge: badgeReport,
  'write-expect': (report: SuiteReport) => `${JSON.stringify(expectationsOf(report), null, 1)}\n`,
} as const;
const FILE_OPTIONS = Object.keys(FILES) as (keyof typeof FILES)[];

/** A run takes seconds to minutes: fail before it when a file is not writable. */
function openFiles(values: Values): void {
  for (const option of FILE_OPTIONS) {
    const file = values[option];
    if (file !== undefined) appendFileSync(file, '');
  }
}

function writeReports(report: SuiteReport, values: Values, output: Output): void {
  for (const option of FILE_OPTIONS) {
    const file = values[option];
    if (file !== undefined) writeFileSync(file, FILES[option](report, values.strict));
  }
  if (values.github === true) output.out(githubReport(report, values.strict));
}

function exitCode(
  { counts, results, ...rest }: SuiteReport,
  { strict = false }: Values,
  expected: Expectations | undefined,
  output: Output,
): number {
  if (counts.error > 0) return NOT_ASKED;
  if (expected === undefined) return results.some((one) => failsRun(one.verdict, strict)) ? 1 : 0;
  const lines = unexpectedOf({ counts, results, ...rest }, expected);
  output.out(lines.length === 0 ? 'all differences are expected\n' : `${lines.join('\n')}\n`);
  return lines.length === 0 ? 0 : 1;
}

function parse(args: readonly string[]) {
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
    tokens: true,
  });
  const end = tokens.find(({ kind }) => kind === 'option-terminator');
  const command = end === undefined ? [] : args.slice(end.index + 1);
  const [role, ...words] = positionals.slice(0, positionals.length - command.length);
  if (role === 'client' && words.length > 0) {
    throw new Error(`${words[0]} is not an option; put the client's command after --`);
  }
  return { values, role, rest: role === 'client' ? command : [...words, ...command] };
}

const SERVER_OPTIONS = ['seed', 'header', 'subprotocol'] as const;
const CLIENT_OPTIONS = ['each', 'listen'] as const;

function checkOptions(role: string, values: Values): void {
  const foreign = role === 'server' ? CLIENT_OPTIONS : SERVER_OPTIONS;
  for (const option of foreign) {
    if (values[option] !== undefined) {
      throw new Error(`--${option} applies to ${role === 'server' ? 'client' : 'server'} only`);
    }
  }
  if (role === 'client' && values.concurrency !== undefined && values.each !== true) {
    throw new Error('--concurrency of a client needs --each');
  }
}

type OnResult = SuiteOptions['onResult'];

/** Reports the number of finished cases after each case. */
function progressOf(all: number, { progress }: Output): OnResult {
  if (progress === undefined) return undefined;
  let [done, bad] = [0, 0];
  return ({ verdict }) => {
    done++;
    if (verdict === 'fail') bad++;
    progress(`${done} of ${all} cases, ${bad} failed`);
  };
}

/** @returns The report, or why the server cannot be asked. */
async function askServer(
  [url, ...more]: readonly string[],
  values: Values,
  onResult: OnResult,
): Promise<SuiteReport | string> {
  if (url === undefined || more.length > 0) {
    throw new Error(
      `expected one server URL, got ${url === undefined ? 0 : more.length + 1}; see --help`,
    );
  }
  const settings = {
    timeout: countOf('timeout', values.timeout),
    headers: values.header?.map(fieldOf),
    subprotocols: values.subprotocol,
  };
  const reason = await probeServer(url, settings);
  if (reason !== undefined) return reason;
  return runServerSuite(url, {
    ...settings,
    onResult,
    only: values.only,
    seed: values.seed,
    concurrency: countOf('concurrency', values.concurrency),
  });
}

function askClient(
  command: readonly string[],
  values: Values,
  onResult: OnResult,
  output: Output,
): Promise<SuiteReport> {
  const waits = command.length === 0;
  if (waits && (values.listen === undefined || values.each === true)) {
    throw new Error("the client's command is missing after --; see --help");
  }
  return runClientSuite(command, {
    onResult,
    only: values.only,
    timeout: countOf('timeout', values.timeout),
    each: values.each,
    concurrency: countOf('concurrency', values.concurrency),
    listen: values.listen === undefined ? undefined : addressOf(values.listen),
    onListen: waits ? (at) => output.out(`waiting for a client at ${at}\n`) : undefined,
  });
}

/** @throws Error unless it is `Name: value`. */
function fieldOf(text: string): readonly [string, string] {
  const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([^\r\n]*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new Error(`--header must be 'Name: value', not ${JSON.stringify(text)}`);
  }
  return [name, value];
}

/** @throws Error unless it is `host:port`. */
function addressOf(text: string): { readonly host: string; readonly port: number } {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > MAX_PORT) {
    throw new Error(`--listen must be HOST:PORT, not ${text}`);
  }
  return { host: host.replaceAll(/^\[|\]$/g, ''), port: Number(port) };
}

const MAX_PORT = 65_535;

function countOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (/^\d{1,9}$/.test(text) && count > 0) return count;
  throw new Error(`--${option} must be a whole number above 0, not ${text}`);
}

function listOf(cases: readonly CaseFacts[]): string {
  let chapter = 0;
  const lines = cases.flatMap((one) => {
    const line = `  ${one.id.padEnd(9)} ${one.level.padEnd(7)} ${one.title} [${one.section}]`;
    if (one.chapter === chapter) return [line];
    chapter = one.chapter;
    return [`${chapter} ${CHAPTERS[chapter]}`, line];
  });
  return `${lines.join('\n')}\n${cases.length} cases\n`;
}
