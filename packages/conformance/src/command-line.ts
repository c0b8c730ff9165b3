import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { CaseFacts } from './model/case.ts';
import { CHAPTERS } from './model/chapter.ts';
import { htmlReport } from './report/html.ts';
import { jsonReport } from './report/json.ts';
import { textReport } from './report/text.ts';
import { clientSuiteCases, runClientSuite } from './run/run-client.ts';
import { runServerSuite, serverSuiteCases } from './run/run-server.ts';
import type { SuiteOptions, SuiteReport } from './run/suite-report.ts';

const HELP = `ws-conform: tests a WebSocket server or client against RFC 6455 and RFC 7692

usage: ws-conform server ws://… [options]
       ws-conform client [options] -- command…

server   tests the server at the URL; the server must echo each message with the same type and bytes
client   starts the command with a URL, which replaces {url} or is appended; the client reads the number
         of cases from URL/getCaseCount, connects to URL/runCase?case=N for N from 1, and echoes each message

options
  --only GLOB       run only cases whose id matches; * matches any characters: --only '6.*'; repeatable
  --timeout MS      maximum duration of a single wait; default 5000
  --concurrency N   server: number of cases at the same time; default 16
  --each            client: start the command once per case, with the URL of the case
  --json FILE       write the report as JSON, with the first bytes of every segment
  --html FILE       write the report as one HTML page without external resources
  --strict          fail when the target does not follow a SHOULD
  --list            print the cases without running them
  --help            print this text

exit code: 0 no case failed, 1 a case failed, 2 wrong command line or unwritable file
`;

const OPTIONS = {
  only: { type: 'string', multiple: true },
  timeout: { type: 'string' },
  concurrency: { type: 'string' },
  each: { type: 'boolean' },
  json: { type: 'string' },
  html: { type: 'string' },
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
 * @returns The exit code: 0, 1 or 2. Never rejects.
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
  const report = await (role === 'server' ? askServer : askClient)(
    rest,
    values,
    progressOf(cases.length, output),
  );
  output.out(textReport(report));
  if (values.json !== undefined) writeFileSync(values.json, jsonReport(report));
  if (values.html !== undefined) writeFileSync(values.html, htmlReport(report));
  const bad = report.counts.fail + (values.strict === true ? report.counts['non-strict'] : 0);
  return bad > 0 ? 1 : 0;
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

function checkOptions(role: string, values: Values): void {
  if (role === 'client' && values.concurrency !== undefined) {
    throw new Error('--concurrency applies to server only');
  }
  if (role === 'server' && values.each === true) throw new Error('--each applies to client only');
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

function askServer(
  [url, ...more]: readonly string[],
  values: Values,
  onResult: OnResult,
): Promise<SuiteReport> {
  if (url === undefined || more.length > 0) {
    throw new Error(
      `expected one server URL, got ${url === undefined ? 0 : more.length + 1}; see --help`,
    );
  }
  return runServerSuite(url, {
    onResult,
    only: values.only,
    timeout: countOf('timeout', values.timeout),
    concurrency: countOf('concurrency', values.concurrency),
  });
}

function askClient(
  command: readonly string[],
  values: Values,
  onResult: OnResult,
): Promise<SuiteReport> {
  if (command.length === 0) throw new Error("the client's command is missing after --; see --help");
  return runClientSuite(command, {
    onResult,
    only: values.only,
    timeout: countOf('timeout', values.timeout),
    each: values.each,
  });
}

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
