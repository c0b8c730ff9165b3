import { dirname, relative } from 'node:path/posix';
import { machineLine, versionLine } from '../report/head.ts';
import { markdownOf, type Table } from '../report/table.ts';
import { verdictOf } from '../report/verdict.ts';
import {
  CHARTS,
  chartName,
  commandOf,
  type Recorded,
  type ResultSet,
  resultsPage,
} from './documents.ts';

/** Writes a section from sets of results. `folder` contains the page. */
type Section = (sets: readonly ResultSet[], folder: string) => string;

/** Writes the paragraphs of one scenario. `tables` is the page with all its tables. */
type Write = (document: Recorded, folder: string, tables: string) => readonly string[];

/** The generated sections of each page by name. */
export const PAGES: Readonly<Record<string, Readonly<Record<string, Section>>>> = {
  'README.md': {
    echo: oldest('compare', chart),
  },
  'docs/performance.md': {
    echo: oldest('compare', summary),
    client: oldest('client', chart),
    handshakes: oldest('handshakes', chart),
    memory: oldest('memory', chart),
    hub: oldest('hub', chart),
    stream: oldest('stream', chart),
    compression: oldest('deflate', chart),
    results: listOf,
  },
};

/** The charts and the summary show the first rows of `compare`: the plain echoes from 16 B to 1 MiB. */
const SUMMARY_ROWS = 5;

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
export function pageOfSet({ name, results }: ResultSet): string {
  const scenarios = [...results].map(([scenario, document]) =>
    [`## ${scenario}`, ...tablesOf(document), ...remarks(document), originOf(document)].join(
      '\n\n',
    ),
  );
  const title = `# What was measured on ${name.replace('node-', 'Node ')}?`;
  const intro =
    '`pnpm bench charts` writes this page from the files beside it. ' +
    '[bench](../../README.md) says how each scenario measures, and what its contenders are.';
  return `${[title, intro, ...scenarios].join('\n\n')}\n`;
}

/** The scenarios without a chart: their tables are for maintainers. */
const WITHOUT_CHART: readonly string[] = ['codec', 'micro'];

/** The table that the chart of a scenario shows: the first one, or its first rows. */
export function chartedTable({ head, tables: [table] }: Recorded): Table | undefined {
  if (table === undefined || WITHOUT_CHART.includes(head.scenario)) return undefined;
  return head.scenario === 'compare' ? firstRows(table) : table;
}

/** A scenario on the oldest Node. Without a result it names the command that measures one. */
function oldest(scenario: string, write: Write): Section {
  return ([set], folder) => {
    const document = set?.results.get(scenario);
    const paragraphs =
      document === undefined ? [] : write(document, folder, resultsPage(set!.name));
    return paragraphs.length === 0
      ? `No result is recorded yet. \`npx -y pnpm@10.34.9 bench ${scenario}\` measures it.`
      : paragraphs.join('\n\n');
  };
}

/** The chart, with a link to the tables. */
function chart(document: Recorded, folder: string, tables: string): string[] {
  const table = chartedTable(document);
  if (table === undefined) return [];
  const { scenario } = document.head;
  const picture = `${relative(folder, CHARTS)}/${chartName(scenario)}`;
  const link = `[All tables of ${scenario}](${relative(folder, tables)}#${scenario})`;
  return [`![${table.title}: ${table.unit}](${picture})`, `${link}.`];
}

/** The chart, and who is ahead. */
function summary(document: Recorded, folder: string, tables: string): string[] {
  const table = chartedTable(document);
  if (table === undefined) return [];
  const [picture, link] = chart(document, folder, tables);
  return [picture!, ...verdictOf(table), `${link} ${originOf(document)}`];
}

/** The pages of all sets. */
function listOf(sets: readonly ResultSet[], folder: string): string {
  if (sets.length === 0) return 'No result is recorded yet.';
  return sets
    .map(({ name }) => {
      const label = name.replace('node-', 'Node ');
      return `- [${label}](${relative(folder, resultsPage(name))})`;
    })
    .join('\n');
}

function firstRows(table: Table): Table {
  const labels = table.labels.slice(0, SUMMARY_ROWS);
  const series = table.series.map((one) => ({ ...one, values: one.values.slice(0, SUMMARY_ROWS) }));
  return { ...table, labels, series };
}

/** Every table, and who is ahead in the first one. */
function tablesOf({ tables }: Recorded): string[] {
  return tables.flatMap((table, i) => [markdownOf(table), ...(i === 0 ? verdictOf(table) : [])]);
}

/** What the machine of a result could not run, and what disturbed it. */
function remarks({ notMeasured: lines = [], warnings = [] }: Recorded): string[] {
  return [
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
