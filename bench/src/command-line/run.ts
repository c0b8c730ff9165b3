import { lackOfPackage } from '../harness/optional-package.ts';
import { charts } from '../recorded/charts.ts';
import { documentText } from '../recorded/documents.ts';
import { recordCommand } from '../recorded/record.ts';
import { type Head, headOf } from '../report/head.ts';
import { compareWithHistory, historyFile } from '../report/history.ts';
import { pageOf } from '../report/html-page.ts';
import { OutputFile } from '../report/output-file.ts';
import { textOf } from '../report/table.ts';
import { broadcast } from '../scenarios/broadcast.ts';
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
import { scenarioCommand } from '../scenarios/scenario.ts';
import { serve } from '../scenarios/serve.ts';
import { stream } from '../scenarios/stream.ts';
import type { Command, Report } from './command.ts';
import { parseCommand } from './parse.ts';
import { UsageError } from './usage-error.ts';

const RECORDED = [
  compare,
  client,
  handshakes,
  memory,
  broadcast,
  hub,
  stream,
  deflate,
  codec,
  micro,
];
const SCENARIOS: Readonly<Record<string, Command>> = {
  ...Object.fromEntries(RECORDED.map((scenario) => [scenario.name, scenarioCommand(scenario)])),
  compat: scenarioCommand(compat),
  // The figures of these are on no page.
  http2: scenarioCommand(http2),
  proxy: scenarioCommand(proxy),
  load,
  serve,
};
const RESULTS: Readonly<Record<string, Command>> = { record: recordCommand(RECORDED), charts };
const COMMANDS: Readonly<Record<string, Command>> = { ...SCENARIOS, ...RESULTS };

const HELP = `ws-bench: the cost of this library next to that of others, on this machine

usage: ws-bench <command> [options]

scenarios
${listOf(SCENARIOS)}

recorded results, in a checkout of the workspace
${listOf(RESULTS)}

options of most scenarios
  --json [FILE]  print one JSON document instead of tables, or write it to FILE besides the tables
  --html FILE    also write a page with charts, for a browser
  --history      compare with earlier results of the same command on this machine, and keep this one
                 in ~/.cache/ws-bench/history.jsonl (or below $XDG_CACHE_HOME)
  --quick        a first impression in 1 to 5 minutes; do not quote its figures
  --help         this text; after a command, the help of that command

The exit code is 0 for success, 1 for a failure, 2 for an invalid command line, and 99 for a missed
threshold of load, as in k6. A failed run writes no file.
`;

/** Where a command prints. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
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
  const report = await command.run(values, words);
  if (typeof report === 'number') return report;
  const { warnings = [], exitCode = 0 } = report;
  const head = headOf(name, args, report.versions ?? {}, report.target);
  const history = values['history'] === true ? historyOf(head, report) : undefined;
  const json = documentText({
    head,
    ...report.document,
    ...(warnings.length > 0 && { warnings }),
    ...(history?.table !== undefined && { history: history.table }),
  });
  const text = [...warnings.map((line) => `warning: ${line}\n`), report.text, history?.text ?? ''];
  output.out(values['json'] === true && jsonFile === undefined ? json : text.join(''));
  files.json?.write(json);
  files.html?.write(await pageOf(head, report.tables, text.join(''), warnings));
  return exitCode;
}

/** The comparison of `--history`. */
function historyOf(head: Head, { tables: [first], compared = first }: Report) {
  if (compared === undefined) return undefined;
  const file = historyFile();
  const table = compareWithHistory(head, compared, file);
  const text =
    table === undefined ? 'No earlier result of this command on this machine.\n' : textOf(table);
  return { table, text: `\n${text}All results: ${file}\n` };
}

/** Checks the files before the measurement, so that a wrong path costs no time. */
function openFiles(jsonPath: string | undefined, htmlPath: string | undefined) {
  const json = jsonPath === undefined ? undefined : new OutputFile('json', jsonPath);
  const lack = htmlPath === undefined ? undefined : lackOfPackage('echarts');
  if (lack !== undefined) throw new UsageError(`--html: ${lack}`);
  const html = htmlPath === undefined ? undefined : new OutputFile('html', htmlPath);
  if (json !== undefined && json.path === html?.path) {
    throw new UsageError(`--json and --html: both are '${jsonPath}'; give them two files`);
  }
  return { json, html };
}

function withoutCommand(args: readonly string[], { out, err }: Output): number {
  const word = args.find((arg) => !arg.startsWith('-'));
  if (word === undefined && (args.includes('--help') || args.includes('-h'))) {
    out(HELP);
    return 0;
  }
  err(word === undefined ? HELP : `there is no command '${word}'; see --help\n`);
  return 2;
}

function listOf(commands: Readonly<Record<string, Command>>): string {
  return Object.entries(commands)
    .map(
      ([name, { summary }]) => `  ${name.padEnd(13)}  ${summary.replaceAll('\n', '\n'.padEnd(18))}`,
    )
    .join('\n');
}
