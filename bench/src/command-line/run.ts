import { commits } from '../commits/commits.ts';
import { charts } from '../recorded/charts.ts';
import { recordCommand } from '../recorded/record.ts';
import { headOf, withVersions } from '../report/head.ts';
import { pageOf, readPageScript } from '../report/html-page.ts';
import { OutputFile } from '../report/output-file.ts';
import { broadcast } from '../scenarios/broadcast.ts';
import { codec } from '../scenarios/codec.ts';
import { compare } from '../scenarios/compare.ts';
import { deflate } from '../scenarios/deflate.ts';
import { load } from '../scenarios/load.ts';
import { memory } from '../scenarios/memory.ts';
import { serve } from '../scenarios/serve.ts';
import { stream } from '../scenarios/stream.ts';
import type { Command, Report } from './command.ts';
import { parseCommand } from './parse.ts';
import { UsageError } from './usage-error.ts';

const RECORDED = { compare, codec, memory, broadcast, stream, deflate };
const SCENARIOS: Readonly<Record<string, Command>> = { ...RECORDED, load, serve };
const RESULTS: Readonly<Record<string, Command>> = {
  record: recordCommand(RECORDED),
  charts,
  commits,
};
const COMMANDS: Readonly<Record<string, Command>> = { ...SCENARIOS, ...RESULTS };

const HELP = `ws-bench: the cost of this library next to that of others, on this machine

usage: ws-bench <command> [options]

scenarios
${listOf(SCENARIOS)}

recorded results, in a checkout of the workspace
${listOf(RESULTS)}

options of most scenarios
  --json [FILE]  print one JSON document instead of tables, or write it to FILE besides the tables
  --html FILE    write a page with charts: one file that needs no network
  --quick        a quick run for a first impression; do not quote its figures
  --help         this text; after a command, the help of that command

The exit code is 0 for success, 1 for a failure or for errors in a report, 2 for an invalid command
line. Files are written at the end, so a failed run does not change them.
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
  const html = values['html'] as string | undefined;
  const files = openFiles(jsonFile, html);
  const script = html === undefined ? '' : readPageScript();
  const head = headOf(name, args);
  const report = await command.run(values, words);
  if (typeof report === 'number') return report;
  const document = documentOf(report, head);
  const json = `${JSON.stringify(document, null, 1)}\n`;
  output.out(values['json'] === true && jsonFile === undefined ? json : report.text);
  files.json?.write(json);
  files.html?.write(pageOf(document, report.text, script));
  return report.failed === true ? 1 : 0;
}

function withoutCommand(args: readonly string[], { out, err }: Output): number {
  const word = args.find((arg) => !arg.startsWith('-'));
  if (word === undefined && args.includes('--help')) {
    out(HELP);
    return 0;
  }
  if (word !== undefined) err(`there is no command '${word}'\n\n`);
  err(HELP);
  return 2;
}

/** Checks the files before the measurement, so that a wrong path costs no time. */
function openFiles(
  jsonPath: string | undefined,
  htmlPath: string | undefined,
): { json?: OutputFile | undefined; html?: OutputFile | undefined } {
  const json = jsonPath === undefined ? undefined : new OutputFile('json', jsonPath);
  const html = htmlPath === undefined ? undefined : new OutputFile('html', htmlPath);
  if (json !== undefined && json.path === html?.path) {
    throw new UsageError(`--json and --html: both are '${jsonPath}'`);
  }
  return { json, html };
}

function documentOf({ document, charts = [] }: Report, head: ReturnType<typeof headOf>) {
  const { versions } = document as { versions?: Record<string, string | undefined> };
  return { ...document, head: withVersions(head, versions), charts };
}

function listOf(commands: Readonly<Record<string, Command>>): string {
  return Object.entries(commands)
    .map(
      ([name, { summary }]) => `  ${name.padEnd(13)}  ${summary.replaceAll('\n', '\n'.padEnd(18))}`,
    )
    .join('\n');
}
