import { randomInt } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import process from 'node:process';
import {
  addressOf,
  checkOptions,
  commandOf,
  countOf,
  HELP,
  listenTls,
  type Output,
  parse,
  requestSettings,
  requiredOf,
  type Values,
} from './command-options.ts';
import { runMatrix } from './matrix-command.ts';
import type { CaseFacts, CaseResult } from './model/case.ts';
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
import { type JsonFacts, jsonReport } from './report/json.ts';
import { junitReport } from './report/junit.ts';
import { failsRun } from './report/outcome.ts';
import { summaryReport } from './report/summary.ts';
import { caseText, textReport } from './report/text.ts';
import { runRooms } from './rooms-command.ts';
import { NotAskedError } from './run/client-command.ts';
import { probeServer } from './run/probe.ts';
import { clientSuiteCases, runClientSuite } from './run/run-client.ts';
import { runServerSuite, serverSuiteCases } from './run/run-server.ts';
import { missingOf, reportOf, type SuiteOptions, type SuiteReport } from './run/suite-report.ts';

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

async function run(args: readonly string[], output: Output): Promise<number> {
  if (args[0] === 'rooms') return runRooms(args.slice(1), output);
  const { values: given, role: word, rest } = parse(args);
  if (given.help === true || args.length === 0) {
    output.out(HELP);
    return args.length === 0 ? 2 : 0;
  }
  if (given.version === true) {
    output.out(`${ownVersion()}\n`);
    return 0;
  }
  const role = commandOf(word);
  checkOptions(role, given);
  if (role === 'matrix') return runMatrix(rest, given, output);
  // Chosen here, so that the report of a stopped run has it.
  const values = role === 'server' ? { seed: String(randomInt(MAX_SEED)), ...given } : given;
  const cases = selected(role, values);
  if (values.list === true) {
    output.out(listOf(cases));
    return 0;
  }
  const expected =
    values.expect === undefined
      ? undefined
      : parseExpectations(readFileSync(values.expect, 'utf8'), role);
  openFiles(values);
  const target = role === 'server' ? (rest[0] ?? '') : rest.join(' ');
  const seen = new PartialRun(role, target, cases, values, output);
  const ask = role === 'server' ? askServer : askClient;
  const report = await ask(rest, values, seen.onResult, output).finally(() => seen.end());
  if (typeof report === 'string') {
    output.error(`ws-conform: could not ask ${rest[0] ?? 'the client'}: ${report}\n`);
    return NOT_ASKED;
  }
  output.out(
    values.dump === undefined ? textReport(report, values) : `${caseText(report.results[0]!)}\n`,
  );
  writeReports(report, values, output);
  return exitCode(report, values, expected, output);
}

/** Seeds that the command chooses itself are below this. */
const MAX_SEED = 1_000_000;

/** The exit code when the target could not be asked, or the suite itself failed. */
const NOT_ASKED = 3;

function selected(role: SuiteReport['role'], values: Values): CaseFacts[] {
  const { dump, only, exclude, floods, http2 } = values;
  const list = (
    globs?: readonly string[],
    without?: readonly string[],
    all?: boolean,
    over = http2,
  ): CaseFacts[] =>
    role === 'server'
      ? serverSuiteCases(globs, without, all, over)
      : clientSuiteCases(globs, without, all);
  const cases =
    dump === undefined
      ? list(only, exclude, floods)
      : list([], [], true).filter(({ id }) => id === dump);
  if (cases.length > 0) return cases;
  if (floods !== true && dump === undefined && list(only, exclude, true).length > 0) {
    throw new Error('only floods match; add --floods');
  }
  const wanted = dump === undefined ? only : [dump];
  if (list(wanted, exclude, true, http2 !== true).length > 0) {
    const [where, how] = http2 === true ? ['1.1', 'remove'] : ['2', 'add'];
    throw new Error(`only cases over HTTP/${where} match; ${how} --http2`);
  }
  const words = [dump ?? only ?? [], (exclude ?? []).map((glob) => `without ${glob}`)];
  throw new Error(`no case matches ${words.flat(2).join(' ')}; see --list`);
}

/** The results so far. They become the reports when a signal ends the run. */
class PartialRun {
  readonly onResult: NonNullable<SuiteOptions['onResult']>;
  readonly #started = new Date();
  readonly #results = new Map<string, CaseResult>();
  readonly #onSignal: (signal: NodeJS.Signals) => void;

  constructor(
    role: SuiteReport['role'],
    target: string,
    cases: readonly CaseFacts[],
    values: Values,
    output: Output,
  ) {
    const progress = progressOf(cases.length, output);
    this.onResult = (result) => {
      const again = this.#results.has(result.id);
      this.#results.set(result.id, result);
      if (!again) progress(result);
    };
    this.#onSignal = (signal) => {
      const results = cases.flatMap(({ id }) => this.#results.get(id) ?? []);
      const { http2, seed } = values;
      const report = { ...reportOf(role, target, this.#started, results, seed), http2 };
      output.out(textReport(report, values));
      output.error(`${signal} after ${results.length} of ${cases.length} cases\n`);
      // Expected differences of a part would hide the others.
      const { 'write-expect': _, ...files } = values;
      writeReports(report, files, output, false);
      // A client's command has a listener too, which ends the command first.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    };
    for (const signal of SIGNALS) process.once(signal, this.#onSignal);
  }

  /** Ends the run: a signal no longer writes reports. */
  end(): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** The options that name a file, with the writer of its content. */
const FILES = {
  json: (report: SuiteReport, values: Values, complete: boolean) =>
    jsonReport(report, jsonFacts(values, complete)),
  html: (report: SuiteReport) => htmlReport(report),
  junit: (report: SuiteReport, { strict }: Values) => junitReport(report, strict),
  badge: (report: SuiteReport) => badgeReport(report),
  'write-expect': (report: SuiteReport) => `${JSON.stringify(expectationsOf(report), null, 1)}\n`,
} as const;
const FILE_OPTIONS = Object.keys(FILES) as (keyof typeof FILES)[];

/** A run takes seconds to minutes: fail before it when a file is not writable. */
function openFiles(values: Values): void {
  const options = new Map<string, string>();
  for (const option of FILE_OPTIONS) {
    const file = values[option];
    if (file === undefined) continue;
    const other = options.get(resolve(file));
    if (other !== undefined) {
      throw new Error(`--${other} and --${option} name the same file, ${file}; give them two`);
    }
    options.set(resolve(file), option);
  }
  for (const file of options.keys()) {
    const isNew = !existsSync(file);
    appendFileSync(file, '');
    // A run that reports nothing leaves no empty report.
    if (isNew) rmSync(file);
  }
}

function writeReports(
  report: SuiteReport,
  values: Values,
  output: Output,
  complete: boolean = true,
): void {
  for (const option of FILE_OPTIONS) {
    const file = values[option];
    if (file === undefined) continue;
    writeFileSync(file, FILES[option](report, values, complete));
    output.error(`wrote ${file}\n`);
  }
  if (values.github !== true) return;
  output.out(githubReport(report, values.strict));
  const summary = process.env['GITHUB_STEP_SUMMARY'];
  if (summary !== undefined && summary !== '') appendFileSync(summary, summaryReport(report));
}

/** The options of a JSON report. Headers and files of keys are secrets. */
const TOLD = [
  'only',
  'exclude',
  'floods',
  'timeout',
  'concurrency',
  'each',
  'no-echo',
  'require',
  'subprotocol',
  'http2',
  'strict',
] as const;

/** The version of this package. */
function ownVersion(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

function jsonFacts(values: Values, complete: boolean): JsonFacts {
  return {
    complete,
    tool: { name: 'ws-conform', version: ownVersion(), node: process.version },
    options: Object.fromEntries(
      TOLD.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]]])),
    ),
    transcripts: values.verbose === true || values.dump !== undefined,
  };
}

function exitCode(
  report: SuiteReport,
  { strict = false, ...values }: Values,
  expected: Expectations | undefined,
  output: Output,
): number {
  if (report.counts.error > 0) return NOT_ASKED;
  const missing = missingOf(report, requiredOf(values));
  for (const line of missing) output.error(`ws-conform: --require ${line}\n`);
  if (missing.length > 0) return NOT_ASKED;
  if (report.counts.skipped === report.results.length) {
    const reasons = new Set(report.results.flatMap(({ because }) => because));
    output.error(`ws-conform: every case was skipped: ${[...reasons].join('; ')}\n`);
    return NOT_ASKED;
  }
  // Each connection leaves lines in a transcript.
  if (report.results.every(({ transcript }) => transcript.length === 0)) {
    output.error(`ws-conform: could not ask ${report.target}\n`);
    return NOT_ASKED;
  }
  if (expected === undefined) {
    return report.results.some((one) => failsRun(one.verdict, strict)) ? 1 : 0;
  }
  const lines = unexpectedOf(report, expected);
  output.out(lines.length === 0 ? 'all differences are expected\n' : `${lines.join('\n')}\n`);
  return lines.length === 0 ? 0 : 1;
}

type OnResult = NonNullable<SuiteOptions['onResult']>;

/** Number of lines about the progress of a run without a terminal. */
const STEPS = 10;

/** Reports the number of finished cases: on a terminal after each case. */
function progressOf(all: number, output: Output): OnResult {
  let [done, bad] = [0, 0];
  return ({ verdict }) => {
    done++;
    if (verdict === 'fail') bad++;
    const text = `${done} of ${all} cases, ${bad} failed`;
    if (output.progress !== undefined) output.progress(text);
    else if (all >= LONG_RUN && done % Math.ceil(all / STEPS) === 0) output.error(`${text}\n`);
  };
}

/** From this number of cases, a run takes long enough for lines about its progress. */
const LONG_RUN = 200;

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
    ...requestSettings(values),
    timeout: countOf('timeout', values.timeout),
    seed: values.seed,
  };
  const reason = await probeServer(url, settings, requiredOf(values));
  if (reason !== undefined) return reason;
  return runServerSuite(url, {
    ...settings,
    onResult,
    ...casesOf(values),
    concurrency: countOf('concurrency', values.concurrency),
  });
}

function casesOf({ dump, only, exclude, floods }: Values): SuiteOptions {
  const one = dump !== undefined;
  return { only: one ? [dump] : only, exclude, allBytes: one, floods: one || floods };
}

/** @returns The report, or why the client cannot be asked. */
async function askClient(
  command: readonly string[],
  values: Values,
  onResult: OnResult,
  output: Output,
): Promise<SuiteReport | string> {
  const waits = command.length === 0;
  if (waits && (values.listen === undefined || values.each === true)) {
    throw new Error("the client's command is missing after --; see --help");
  }
  return runClientSuite(command, {
    onResult,
    ...casesOf(values),
    timeout: countOf('timeout', values.timeout),
    each: values.each,
    concurrency: countOf('concurrency', values.concurrency),
    listen: values.listen === undefined ? undefined : addressOf('listen', values.listen),
    tls: listenTls(values),
    onListen: waits ? (at) => output.out(`waiting for a client at ${at}\n`) : undefined,
  }).catch((error: unknown) => {
    if (error instanceof NotAskedError) return error.message;
    throw error;
  });
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
