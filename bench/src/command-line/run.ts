import { isPrinted } from '../harness/machine-watch.ts';
import { lackOfPackage } from '../harness/optional-package.ts';
import { documentText } from '../report/document-text.ts';
import { type Head, headOf, headText } from '../report/head.ts';
import { compareWithHistory, openHistory } from '../report/history.ts';
import { pageOf } from '../report/html-page.ts';
import { OutputFile } from '../report/output-file.ts';
import { textOf } from '../report/table.ts';
import { client } from '../scenarios/client.ts';
import { codec } from '../scenarios/codec.ts';
import { compare } from '../scenarios/compare.ts';
import { compat } from '../scenarios/compat.ts';
import { deflate } from '../scenarios/deflate.ts';
import { handshakes } from '../scenarios/handshakes.ts';
import { http2 } from '../scenarios/http2.ts';
import { hub } from '../scenarios/hub.ts';
import { load } from '../scenarios/load.ts';
import { memory } from '../scenarios/memory.ts';
import { micro } from '../scenarios/micro.ts';
import { proxy } from '../scenarios/proxy.ts';
import { rpc } from '../scenarios/rpc.ts';
import { type Scenario, scenarioCommand } from '../scenarios/scenario.ts';
import { serve } from '../scenarios/serve.ts';
import { storm } from '../scenarios/storm.ts';
import { stream } from '../scenarios/stream.ts';
import type { Command, Report } from './command.ts';
import { parseCommand } from './parse.ts';
import { UsageError } from './usage-error.ts';

/** The scenarios whose results the pages show. */
export const RECORDED: readonly Scenario[] = [
  compare,
  client,
  handshakes,
  memory,
  hub,
  stream,
  deflate,
  codec,
  micro,
];
const COMMANDS: Readonly<Record<string, Command>> = {
  ...Object.fromEntries(RECORDED.map((scenario) => [scenario.name, scenarioCommand(scenario)])),
  compat: scenarioCommand(compat),
  rpc: scenarioCommand(rpc),
  // The figures of these are on no page.
  http2: scenarioCommand(http2),
  proxy: scenarioCommand(proxy),
  storm,
  load,
  serve,
};

const MOST_CHANGES = 2;

const HELP = `ws-bench: the cost of this library next to that of others, on this machine

usage: ws-bench <command> [options]

scenarios
${listOf(COMMANDS)}

options of most scenarios
  --json [FILE]  print one JSON document instead of tables, or write it to FILE besides the tables
  --html FILE    also write a page with charts, for a browser
  --history      compare with earlier results of the same command on this machine, and keep this one
                 in ~/.cache/ws-bench/history.jsonl (or below $XDG_CACHE_HOME)
  --quick        a first impression in 1 to 5 minutes; do not quote its figures
  --help         this text; after a command, the help of that command

The exit code is 0 for success, 1 for a failure, 2 for an invalid command line, and 99 for a missed
threshold of load, as in k6. Ctrl-C and SIGTERM stop a run: what has been measured is printed, and the
exit code is 130 or 143. A failed or stopped run writes no file.
`;

/** Where a command prints. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Stops the measurement: what has been measured is printed. Default: nothing does. */
  readonly stop?: AbortSignal;
}

/**
 * Runs `ws-bench` with these arguments.
 *
 * @returns The exit code.
 */
export async function runCli(args: readonly string[], output: Output): Promise<number> {
  try {
    return await dispatch(args, output);
  } catch (error) {
    output.err(`${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function dispatch(args: readonly string[], output: Output): Promise<number> {
  const name = args.find((arg) => Object.hasOwn(COMMANDS, arg));
  if (name === undefined) return withoutCommand(args, output);
  const command = COMMANDS[name]!;
  const { values, words, jsonFile } = parseCommand(args.toSpliced(args.indexOf(name), 1), command);
  if (values['help'] === true) {
    output.out(command.help);
    return 0;
  }
  const files = openFiles(jsonFile, values['html'] as string | undefined);
  const historyFile = values['history'] === true ? openHistory() : undefined;
  const report = await command.run(values, words, output.stop ?? new AbortController().signal);
  if (typeof report === 'number') return report;
  const { warnings = [], exitCode = 0 } = report;
  const head = headOf(name, args, report.versions ?? {}, report.target);
  const keeps = historyFile !== undefined && report.endedEarly === undefined;
  const history = keeps ? historyOf(head, report, historyFile) : undefined;
  const json = documentText({
    head,
    ...report.document,
    ...(warnings.length > 0 && { warnings }),
    ...(report.endedEarly !== undefined && { endedEarly: report.endedEarly }),
    ...(history?.table !== undefined && { history: history.table }),
  });
  const added = warnings.filter((line) => !isPrinted(line));
  const text = [
    headText(head),
    ...added.map((line) => `warning: ${line}\n`),
    report.text,
    history?.text ?? '',
  ];
  output.out(values['json'] === true && jsonFile === undefined ? json : text.join(''));
  if (report.endedEarly !== undefined) {
    output.err(
      `${report.endedEarly}${(files.json ?? files.html) ? '; no file was written' : ''}\n`,
    );
    return exitCode;
  }
  files.json?.write(json);
  files.html?.write(await pageOf(head, report.tables, text.join(''), warnings));
  return exitCode;
}

/** The comparison of `--history`. */
function historyOf(head: Head, { tables: [first], compared = first }: Report, file: string) {
  if (compared === undefined) return undefined;
  const table = compareWithHistory(head, compared, file);
  const text =
    table === undefined ? 'No earlier result of this command on this machine.\n' : textOf(table);
  return { table, text: `\n${text}All results: ${file}\n` };
}

/** Checks the files before the measurement, so that a wrong path costs no time. */
function openFiles(jsonPath: string | undefined, htmlPath: string | undefined) {
  const json = jsonPath === undefined ? undefined : new OutputFile('json', jsonPath);
  const html = htmlPath === undefined ? undefined : new OutputFile('html', htmlPath);
  if (json !== undefined && json.path === html?.path) {
    throw new UsageError(`--json and --html: both are '${jsonPath}'; give them two files`);
  }
  const lack = html === undefined ? undefined : lackOfPackage('echarts');
  if (lack !== undefined) throw new UsageError(`--html: ${lack}`);
  return { json, html };
}

function withoutCommand(args: readonly string[], { out, err }: Output): number {
  const word = args.find((arg) => !arg.startsWith('-'));
  if (word === undefined && (args.includes('--help') || args.includes('-h'))) {
    out(HELP);
    return 0;
  }
  err(word === undefined ? HELP : `there is no command '${word}'${nearest(word)}\n`);
  return 2;
}

/** The command whose name needs the fewest changes, as a suggestion. */
function nearest(word: string): string {
  const near = Object.keys(COMMANDS)
    .map((name) => ({ name, cost: changes(word, name) + (name[0] === word[0] ? 0 : 0.5) }))
    .toSorted((a, b) => a.cost - b.cost)
    .at(0)!;
  return near.cost <= MOST_CHANGES ? `, did you mean ${near.name}?` : '; see --help';
}

/** Letters to add, remove or replace until `a` is `b`. */
function changes(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length;
  const [restA, restB] = [a.slice(1), b.slice(1)];
  if (a[0] === b[0]) return changes(restA, restB);
  if (Math.abs(a.length - b.length) > MOST_CHANGES) return Infinity;
  return 1 + Math.min(changes(restA, b), changes(a, restB), changes(restA, restB));
}

function listOf(commands: Readonly<Record<string, Command>>): string {
  return Object.entries(commands)
    .map(
      ([name, { summary }]) => `  ${name.padEnd(13)}  ${summary.replaceAll('\n', '\n'.padEnd(18))}`,
    )
    .join('\n');
}
