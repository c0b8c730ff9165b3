import { dirname, relative } from 'node:path/posix';
import { BUSY_COLUMN, rowsWithoutResult } from '../src/report/contest-tables.ts';
import { machineLine, versionLine } from '../src/report/head.ts';
import { markdownOf, medianOf, number, type Table, type Value } from '../src/report/table.ts';
import { verdictOf } from '../src/report/verdict.ts';
import { CODEC_CLASSES } from '../src/scenarios/codec.ts';
import {
  CHARTS,
  chartName,
  commandOf,
  nodeOf,
  type Recorded,
  type ResultSet,
  resultsPage,
} from './documents.ts';

/** Writes a section from sets of results. `folder` contains the page. */
type Section = (sets: readonly ResultSet[], folder: string) => string;

/** Writes the paragraphs of one scenario, whose result is in `set`. */
type Write = (document: Recorded, folder: string, set: ResultSet) => readonly string[];

/** The generated sections of each page by name. */
export const PAGES: Readonly<Record<string, Readonly<Record<string, Section>>>> = {
  'README.md': {
    echo: oldest('compare', chart),
  },
  'docs/performance.md': {
    echo: allNodes('compare', summary),
    client: allNodes('client', chart),
    codec: oldest('codec', classes),
    handshakes: allNodes('handshakes', chart),
    memory: allNodes('memory', chart),
    hub: allNodes('hub', chart),
    stream: allNodes('stream', chart),
    compression: allNodes('deflate', chart),
    results: listOf,
  },
};

/** Which rows of its first table the chart of a scenario shows. Default: all. */
const CHARTED: Readonly<Record<string, (label: string, row: number) => boolean>> = {
  // The plain echoes from 16 B to 64 KiB. The ratios of 1 MiB differ by 25 % between two recordings.
  compare: (_, row) => row < 4,
  // 200 openings take 16 ms of CPU, too short for a figure.
  handshakes: (label) => label.startsWith('2000'),
};

/**
 * The sections of a page by name.
 *
 * @param path - A key of {@link PAGES}.
 * @param sets - That of the oldest Node first.
 */
export function sectionsOf(path: string, sets: readonly ResultSet[]): Map<string, string> {
  const folder = dirname(path);
  return new Map(
    Object.entries(PAGES[path]!).map(([name, section]) => [name, section(sets, folder)]),
  );
}

/** The page with every table of a set. */
export function pageOfSet(set: ResultSet): string {
  const { results } = set;
  const scenarios = [...results].map(([scenario, document]) =>
    [`## ${scenario}`, ...tablesOf(document), ...remarks(document), originOf(document)].join(
      '\n\n',
    ),
  );
  const title = `# What was measured on ${nodeOf(set)}?`;
  const intro =
    '`pnpm bench charts` writes this page from the files beside it. ' +
    '[bench](../../README.md) says how each scenario measures, and what its contenders are.';
  return `${[title, intro, ...scenarios].join('\n\n')}\n`;
}

/** Whether a scenario has a chart. The tables of the others are for maintainers. */
export function hasChart(scenario: string): boolean {
  return scenario !== 'codec' && scenario !== 'micro';
}

/** The table that the chart of a scenario shows: the first one, or some of its rows. */
export function chartedTable({ head, tables: [table] }: Recorded): Table | undefined {
  if (table === undefined || !hasChart(head.scenario)) return undefined;
  return rowsOf(table, chartedRows(head.scenario, table));
}

/** The table with these rows alone. */
function rowsOf(table: Table, rows: readonly number[]): Table {
  const labels = rows.map((row) => table.labels[row]!);
  const series = table.series.map((one) => ({
    ...one,
    values: rows.map((row) => one.values[row]!),
  }));
  return { ...table, labels, series };
}

function chartedRows(scenario: string, { labels }: Table): number[] {
  const isCharted = CHARTED[scenario] ?? (() => true);
  return [...labels.keys()].filter((row) => isCharted(labels[row]!, row));
}

/**
 * The rows of two modes and the warnings of a result, except those of rows that its chart leaves out:
 * the tables of maintainers may have both.
 */
export function doubtsOf({ head, tables, warnings = [] }: Recorded): Doubts {
  if (!hasChart(head.scenario)) return { rows: [], warnings: [] };
  const all = tables[0]?.labels ?? [];
  const charted = tables[0] === undefined ? [] : chartedRows(head.scenario, tables[0]);
  const others = all
    .filter((_, row) => !charted.includes(row))
    .map((label) => label.split(':')[0]!);
  const counts = (line: string): boolean => !others.some((name) => line.startsWith(`${name}:`));
  return { rows: rowsWithoutResult(tables).filter(counts), warnings: warnings.filter(counts) };
}

interface Doubts {
  readonly rows: readonly string[];
  readonly warnings: readonly string[];
}

/** A scenario on the oldest Node. Without a result it names the command that measures one. */
function oldest(scenario: string, write: Write): Section {
  return ([set], folder) => {
    const document = set?.results.get(scenario);
    const paragraphs = document === undefined ? [] : write(document, folder, set!);
    return paragraphs.length === 0
      ? `No result is recorded yet. \`npx -y pnpm@10.34.9 bench ${scenario}\` measures it.`
      : paragraphs.join('\n\n');
  };
}

/** As {@link oldest}, with the same rows on every other Node that has a result. */
function allNodes(scenario: string, write: Write): Section {
  return (sets, folder) => {
    const [first, ...others] = sets;
    const more = others.flatMap((other) => beside(scenario, first!, other));
    return [oldest(scenario, write)(sets, folder), ...more].join('\n\n');
  };
}

/** The rows of the chart of a scenario on another version of Node. */
function beside(scenario: string, first: ResultSet, other: ResultSet): string[] {
  const [mine, theirs] = [first, other].map(({ results }) => {
    const document = results.get(scenario);
    return document && chartedTable(document);
  });
  if (mine === undefined || theirs === undefined) return [];
  const columns = mine.series.filter(({ name }) => name !== BUSY_COLUMN);
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rows = mine.labels.map((label) =>
    line([label, ...columns.map(({ name }) => figure(valueIn(theirs, label, name)))]),
  );
  return [
    [
      `**${nodeOf(other)}**: ${mine.unit}.`,
      '',
      line(['', ...columns.map(({ name }) => name)]),
      `|---|${columns.map(() => '---:|').join('')}`,
      ...rows,
    ].join('\n'),
  ];
}

/** The value of a contender in a row, by their names. */
export function valueIn({ labels, series }: Table, label: string, name: string): Value | undefined {
  return series.find((one) => one.name === name)?.values[labels.indexOf(label)];
}

function figure(value: Value | undefined): string {
  return number(medianOf(value) ?? Number.NaN);
}

/** The chart, with its Node, the commit that was measured, and a link to the tables. */
function chart(document: Recorded, folder: string, set: ResultSet): string[] {
  const table = chartedTable(document);
  if (table === undefined) return [];
  const { scenario, commit, date } = document.head;
  const origin = commit === undefined ? '' : ` at ${commit}, of ${date.slice(0, 10)}`;
  const picture = `${relative(folder, CHARTS)}/${chartName(scenario)}`;
  const tables = `${relative(folder, resultsPage(set.name))}#${scenario}`;
  return [
    `![${table.title}: ${table.unit}](${picture})`,
    `Measured on ${nodeOf(set)}${origin}: [all tables of ${scenario}](${tables}).`,
  ];
}

/** The medians of the public classes of the codec: its rows have no chart. */
function classes(document: Recorded, folder: string, set: ResultSet): string[] {
  const table = document.tables.find(({ title }) => title === CODEC_CLASSES);
  if (table === undefined) return [];
  const tables = `${relative(folder, resultsPage(set.name))}#${document.head.scenario}`;
  const medians = table.series.map((one) => ({
    ...one,
    values: one.values.map((value) => medianOf(value) ?? null),
  }));
  const rows = [...table.labels.keys()].filter((row) =>
    medians.some(({ values }) => values[row] !== null),
  );
  return [
    markdownOf(rowsOf({ ...table, series: medians }, rows)),
    `[All tables of codec, with the spreads](${tables}). ${originOf(document)}`,
  ];
}

/** The chart, and who is ahead. */
function summary(document: Recorded, folder: string, set: ResultSet): string[] {
  const table = chartedTable(document);
  if (table === undefined) return [];
  const [picture, link] = chart(document, folder, set);
  return [picture!, ...verdictOf(table), `${link} ${originOf(document)}`];
}

/** The pages of all sets. */
function listOf(sets: readonly ResultSet[], folder: string): string {
  if (sets.length === 0) return 'No result is recorded yet.';
  return sets
    .map((set) => `- [${nodeOf(set)}](${relative(folder, resultsPage(set.name))})`)
    .join('\n');
}

/** Every table, and who is ahead in the first one. */
function tablesOf({ tables }: Recorded): string[] {
  return tables.flatMap((table, i) => [markdownOf(table), ...(i === 0 ? verdictOf(table) : [])]);
}

/** What the machine of a result could not run, and what disturbed it. */
function remarks({
  notMeasured: lines = [],
  warnings = [],
  measuredAgain: rows = [],
}: Recorded): string[] {
  return [
    ...(rows.length === 0
      ? []
      : [`Measured again, for scatter or two modes of the base: ${rows.join('; ')}.`]),
    ...lines.map((line) => `Not measured on this machine: ${line}.`),
    ...warnings.map((line) => `Warning: ${line}.`),
  ];
}

/** The machine, the versions and the command behind the figures. */
function originOf(document: Recorded): string {
  const { head, cores, plan } = document;
  const facts = [
    machineLine(head.machine),
    ...(cores?.load === undefined
      ? []
      : [`server on core ${cores.server}, load on core ${cores.load}`]),
    versionLine(head),
    head.date.slice(0, 10),
    ...(plan?.processes === undefined
      ? []
      : [`${plan.processes} processes, ${plan.rounds} rounds of ${plan.ms} ms, seed ${plan.seed}`]),
  ];
  return `<sub>\`${commandOf(document)}\`: ${facts.join('; ')}.</sub>`;
}
