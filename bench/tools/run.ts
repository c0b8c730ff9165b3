// `pnpm bench record`, `pnpm bench charts` and `pnpm bench hub --constants`: tools of a checkout, no part of the package.
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { UsageError } from '../src/command-line/usage-error.ts';
import { again } from './again.ts';
import { CHARTS_HELP, charts } from './charts.ts';
import { CONSTANTS_HELP, constants } from './constants/command.ts';
import { chosenScenarios, measureIn, preview, RECORD_HELP, record } from './record.ts';

const ROOT = join(import.meta.dirname, '../..');
const HELP = { help: { type: 'boolean', short: 'h', default: false } } as const;

function runCharts(args: readonly string[]): Promise<number> | number {
  const { values } = parseArgs({
    args: [...args],
    options: { ...HELP, check: { type: 'boolean', default: false } },
  });
  return values.help ? printed(CHARTS_HELP) : charts(ROOT, values.check);
}

function runRecord(args: readonly string[]): Promise<number> | number {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { ...HELP, quick: { type: 'boolean', default: false }, again: { type: 'string' } },
    allowPositionals: true,
  });
  if (values.help) return printed(RECORD_HELP);
  const measure = measureIn(ROOT);
  if (values.again !== undefined) return again(ROOT, values.again, measure);
  const names = chosenScenarios(positionals);
  return values.quick ? preview(ROOT, names, measure) : record(ROOT, names, measure);
}

function printed(text: string): number {
  process.stdout.write(text);
  return 0;
}

async function runConstants(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...HELP,
      constants: { type: 'boolean' },
      runs: { type: 'string', default: '3' },
      busy: { type: 'boolean', default: false },
    },
  });
  if (values.help) return printed(CONSTANTS_HELP);
  const runs = Number(values.runs);
  if (!(Number.isInteger(runs) && runs > 0)) throw new UsageError('--runs needs a number above 0');
  await constants(ROOT, runs, values.busy);
  return 0;
}

const TOOLS: Readonly<Record<string, (args: readonly string[]) => Promise<number> | number>> = {
  charts: runCharts,
  record: runRecord,
  hub: runConstants,
};

const [tool = '', ...rest] = process.argv.slice(2);
try {
  process.exitCode = await TOOLS[tool]!(rest);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  const { code } = error as NodeJS.ErrnoException;
  const isUsage = error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS') === true;
  process.exitCode = isUsage ? 2 : 1;
}
