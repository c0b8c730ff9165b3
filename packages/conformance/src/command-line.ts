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

const HELP = `ws-conform: does a WebSocket server or client keep RFC 6455 and RFC 7692?

usage: ws-conform server ws://… [options]
       ws-conform client [options] -- command…

server   asks the server at the URL, which must send each message back, type and bytes
client   starts the command with a URL (in place of {url}, or appended); it must ask URL/getCaseCount for the number
         of cases, connect to URL/runCase?case=N for each from 1 on, and send each message back

options
  --only GLOB       only cases whose id fits, * for any characters: --only '6.*'; may be given several times
  --timeout MS      how long any single wait may take; default 5000
  --concurrency N   server: cases at the same time; default 16
  --each            client: start the command for each case, with the case's own URL
  --json FILE       write the report as JSON, with every byte's beginning
  --html FILE       write the report as a page: one file that needs no network
  --strict          a SHOULD that is not followed counts as a failure
  --list            print the cases and run none
  --help            this text

exit code: 0 all well, 1 a case failed, 2 the command line is wrong or a file cannot be written
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

/** Where the command prints to. */
export interface Output {
  out(text: string): void;
  error(text: string): void;
  /** Takes how far a run has come: a line that replaces the one before. Missing where nobody looks on. */
  readonly progress?: ((text: string) => void) | undefined;
}

/** The command; its arguments without node and script. @returns The exit code: 0, 1 or 2. */
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
      `${role === undefined ? 'say server or client' : `${role} is neither server nor client`}; see --help`,
    );
  }
  checkFits(role, values);
  const cases = (role === 'server' ? serverSuiteCases : clientSuiteCases)(values.only);
  if (cases.length === 0) throw new Error(`no case fits ${values.only?.join(' ')}; see --list`);
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
    throw new Error(`the client's command stands behind --, and ${words[0]} does not`);
  }
  return { values, role, rest: role === 'client' ? command : [...words, ...command] };
}

function checkFits(role: string, values: Values): void {
  if (role === 'client' && values.concurrency !== undefined) {
    throw new Error('--concurrency is for server: a client comes as it likes');
  }
  if (role === 'server' && values.each === true) throw new Error('--each is for client');
}

type OnResult = SuiteOptions['onResult'];

/** Tells after each case how many there were. */
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
  if (url === undefined || more.length > 0) throw new Error('say one URL of a server; see --help');
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
  if (command.length === 0) throw new Error("say the client's command behind --; see --help");
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
  throw new Error(`--${option} wants a whole number above 0, not ${text}`);
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
