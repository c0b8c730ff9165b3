#!/usr/bin/env node
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { codec } from './scenarios/codec.ts';
import { deflate } from './scenarios/deflate.ts';
import type { Scenario, Values } from './scenarios/scenario.ts';

const scenarios: Readonly<Record<string, Scenario>> = { codec, deflate };

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
  --quick        a first look, not a figure to quote
  --help         this text, or all about a scenario
`;

interface Command {
  readonly values: Values;
  /** Where the JSON document goes, when it is not to be printed. */
  readonly file: string | undefined;
}

/** @throws TypeError for an option that does not exist, or a word that nobody asked for. */
function parse(args: readonly string[], { options }: Scenario): Command {
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    allowPositionals: true,
    tokens: true,
    options: {
      ...options,
      json: { type: 'boolean' },
      quick: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  // A file may follow `--json`, and nothing else stands alone.
  const json = tokens.find((token) => token.kind === 'option' && token.name === 'json');
  const file = tokens.find(
    (token) => token.kind === 'positional' && token.index - 1 === json?.index,
  );
  if (positionals.length > (file === undefined ? 0 : 1)) {
    throw new TypeError(`unexpected: ${positionals.join(' ')}; see --help`);
  }
  return { values, file: positionals[0] };
}

async function main(args: readonly string[]): Promise<number> {
  const name = args.find((arg) => Object.hasOwn(scenarios, arg));
  if (name === undefined) {
    const asked = args.includes('--help');
    (asked ? process.stdout : process.stderr).write(HELP);
    return asked ? 0 : 2;
  }
  const scenario = scenarios[name]!;
  const { values, file } = parse(args.toSpliced(args.indexOf(name), 1), scenario);
  if (values['help'] === true) {
    process.stdout.write(scenario.help);
    return 0;
  }
  const { document, text } = await scenario.run(values);
  const json = `${JSON.stringify(document, null, 1)}\n`;
  if (file !== undefined) writeFileSync(file, json);
  process.stdout.write(values['json'] === true && file === undefined ? json : text);
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
