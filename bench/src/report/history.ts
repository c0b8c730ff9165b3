import { appendFileSync, closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { UsageError } from '../command-line/usage-error.ts';
import { spreadOf } from '../harness/statistics.ts';
import type { Head } from './head.ts';
import { medianOf, type Table } from './table.ts';
import { OURS } from './verdict.ts';

/** Number of earlier results that a new one is compared with. */
const MOST_EARLIER = 10;
/** The options that do not change what is measured. */
const OUTPUT_OPTIONS =
  / --(?:history|json(?:[ =](?!-)\S+)?|(?:html|seed|threshold)[ =](?:'[^']*'|\S+))(?= |$)/g;

/** One line of the file: a result as figures by name. */
interface Entry {
  /** Command, machine and version of Node. Only results with the same key are compared. */
  readonly key: string;
  readonly date: string;
  readonly figures: Readonly<Record<string, number>>;
}

/**
 * Opens the file of all results that `--history` kept, one JSON document in each line.
 *
 * @returns Its path. The file exists.
 * @throws UsageError when the file cannot be written.
 */
export function openHistory(): string {
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  const file = join(cache, 'ws-bench', 'history.jsonl');
  try {
    mkdirSync(dirname(file), { recursive: true });
    closeSync(openSync(file, 'a'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UsageError(`--history: '${file}' cannot be written: ${code ?? message}`);
  }
  return file;
}

/**
 * Compares a result with the earlier ones of the same command on this machine, and keeps it.
 *
 * @param file - See {@link openHistory}. It is created when it is missing.
 * @returns undefined without an earlier result.
 */
export function compareWithHistory(head: Head, table: Table, file: string): Table | undefined {
  const { cpu, cores } = head.machine;
  const [major] = head.versions['node']!.split('.');
  const command = head.command.replace(OUTPUT_OPTIONS, '');
  const key = `${command} on ${cores} x ${cpu}, node ${major}`;
  const figures = figuresOf(table);
  const earlier = read(file)
    .filter((one) => one.key === key)
    .slice(-MOST_EARLIER);
  mkdirSync(dirname(file), { recursive: true });
  appendFileSync(file, `${JSON.stringify({ key, date: head.date, figures } satisfies Entry)}\n`);
  if (earlier.length === 0) return undefined;
  const rows = Object.entries(figures).flatMap(([name, now]) => {
    const values = earlier.flatMap((one) => one.figures[name] ?? []);
    return values.length === 0 ? [] : [{ name, now, before: spreadOf(values) }];
  });
  const change = ({ now, before: { median } }: (typeof rows)[number]): number | null =>
    median === 0 ? null : (100 * (now - median)) / median;
  return {
    title: 'History',
    unit: table.unit,
    note: `Next to the median of ${earlier.length} earlier results of this machine, from ${earlier[0]!.date.slice(0, 10)} on.`,
    labels: rows.map(({ name }) => name),
    series: [
      { name: 'now', values: rows.map(({ now }) => now) },
      { name: 'before', values: rows.map(({ before }) => before) },
      { name: 'change, %', values: rows.map(change) },
    ],
  };
}

/** The figures of our contenders, or of all where none is ours. */
function figuresOf({ labels, series }: Table): Record<string, number> {
  const ours = series.filter(({ name }) => OURS.includes(name));
  const columns = ours.length > 0 ? ours : series;
  return Object.fromEntries(
    labels.flatMap((label, row) =>
      columns.flatMap(({ name, values }) => {
        const value = medianOf(values[row]);
        return value === undefined ? [] : [[`${label}: ${name}`, value]];
      }),
    ),
  );
}

function read(file: string): Entry[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.flatMap((line) => {
    try {
      return [JSON.parse(line) as Entry];
    } catch {
      // The last line is empty. A process that was killed may leave a part of a line.
      return [];
    }
  });
}
