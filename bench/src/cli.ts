#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { headOf, withVersions } from './report/head.ts';
import { OutputFile } from './report/output-file.ts';
import { pageOf, readPageScript } from './report/page.ts';
import { broadcast } from './scenarios/broadcast.ts';
import { codec } from './scenarios/codec.ts';
import { compare } from './scenarios/compare.ts';
import { deflate } from './scenarios/deflate.ts';
import { load } from './scenarios/load.ts';
import { memory } from './scenarios/memory.ts';
import type { CommonOption, Scenario, Values } from './scenarios/scenario.ts';
import { serve } from './scenarios/serve.ts';
import { stream } from './scenarios/stream.ts';
import { UsageError } from './usage-error.ts';

const scenarios: Readonly<Record<string, Scenario>> = {
  compare,
  codec,
  deflate,
  memory,
  broadcast,
  stream,
  load,
  serve,
};

const COMMON = {
  json: { type: 'boolean' },
  html: { type: 'string' },
  quick: { type: 'boolean' },
} as const satisfies Record<CommonOption, object>;

const LIST = Object.entries(scenarios)
  .map(
    ([name, { summary }]) => `  ${name.padEnd(13)}  ${summary.replaceAll('\n', '\n'.padEnd(18))}`,
  )
  .join('\n');

const HELP = `ws-bench: what this library costs, next to others, on this machine

usage: ws-bench <scenario> [options]

scenarios
${LIST}

options
  --json [FILE]  print one JSON document instead of tables, or write it to a file besides
  --html FILE    write a page with charts: one file that needs no network
  --quick        a first look, not a figure to quote
  --help         this text, or all about a scenario; not every scenario has every option

The exit code is 0, 1 when something failed or errors were found, 2 when the command line is wrong. Files
are written at the end: a run that fails leaves them as they were.
`;

interface Command {
  readonly values: Values;
  /** Where the JSON document goes, when it is not to be printed. */
  readonly file: string | undefined;
}

/** @throws UsageError, or a TypeError of parseArgs, for an option that does not exist, a word that nobody asked for, or one that is missing. */
function parse(args: readonly string[], scenario: Scenario): Command {
  const common = scenario.common ?? (Object.keys(COMMON) as CommonOption[]);
  const options: Scenario['options'] = {
    ...scenario.options,
    ...Object.fromEntries(common.map((name) => [name, COMMON[name]])),
    help: { type: 'boolean' },
  };
  const { values, tokens } = parseArgs({
    args: args.flatMap((arg) => (arg.startsWith('--json=') ? ['--json', arg.slice(7)] : [arg])),
    allowPositionals: true,
    tokens: true,
    options,
  });
  if (values['help'] === true) return { values, file: undefined };
  const words = tokens.filter((token) => token.kind === 'positional');
  const json = tokens.find((token) => token.kind === 'option' && token.name === 'json');
  const { argument } = scenario;
  // A file may follow `--json`, unless that is the one word that must be there.
  const needed = argument === undefined ? 0 : 1;
  const behind = words.findIndex((word) => word.index - 1 === json?.index);
  const [file] = behind >= 0 && words.length > needed ? words.splice(behind, 1) : [];
  if (words.length > needed) {
    const unexpected = words.slice(needed).map(({ value }) => value);
    throw new UsageError(`unexpected: ${unexpected.join(' ')}; see --help`);
  }
  if (argument === undefined) return { values, file: file?.value };
  if (words.length === 0) throw new UsageError(`expected a <${argument}>; see --help`);
  return { values: { ...values, [argument]: words[0]!.value }, file: file?.value };
}

async function main(args: readonly string[]): Promise<number> {
  const named = args.find((arg) => Object.hasOwn(scenarios, arg));
  const name = named ?? args.find((arg) => !arg.startsWith('-'));
  if (named === undefined || name === undefined) {
    const asked = name === undefined && args.includes('--help');
    if (name !== undefined) process.stderr.write(`there is no scenario '${name}'\n\n`);
    (asked ? process.stdout : process.stderr).write(HELP);
    return asked ? 0 : 2;
  }
  const scenario = scenarios[name]!;
  const { values, file } = parse(args.toSpliced(args.indexOf(name), 1), scenario);
  if (values['help'] === true) {
    process.stdout.write(scenario.help);
    return 0;
  }
  const html = values['html'] as string | undefined;
  // What is in the way of the page or the file is told before anything is measured.
  const script = html === undefined ? '' : readPageScript();
  const jsonFile = file === undefined ? undefined : new OutputFile('json', file);
  const htmlFile = html === undefined ? undefined : new OutputFile('html', html);
  if (jsonFile !== undefined && jsonFile.path === htmlFile?.path) {
    throw new UsageError(`--json and --html: both are '${file}'`);
  }
  const head = headOf(name, args);
  const report = await scenario.run(values);
  if (report === undefined) return 0;
  const { versions } = report.document as { versions?: Record<string, string | undefined> };
  const document = {
    ...report.document,
    head: withVersions(head, versions),
    charts: report.charts ?? [],
  };
  const json = `${JSON.stringify(document, null, 1)}\n`;
  process.stdout.write(values['json'] === true && file === undefined ? json : report.text);
  jsonFile?.write(json);
  htmlFile?.write(pageOf(document, report.text, script));
  return report.failed === true ? 1 : 0;
}

function isUsage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code = '' } = error as NodeJS.ErrnoException;
  return error instanceof UsageError || code.startsWith('ERR_PARSE_ARGS');
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [, option] = /^Unknown option '([^']+)'/.exec(error.message) ?? [];
  return option === undefined ? error.message : `unknown option ${option}; see --help`;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${wordsOf(error)}\n`);
  process.exitCode = isUsage(error) ? 2 : 1;
}
