import { dirname, relative } from 'node:path/posix';
import { machineLine, versionLine } from '../report/head.ts';
import { markdownOf, type Table } from '../report/table.ts';
import { CHARTS, chartName, commandOf, type Recorded, type ResultSet } from './documents.ts';
import { fasterRivals } from './faster-rivals.ts';
import { GOALS } from './goals.ts';
import { goalsTable } from './goals-table.ts';
import { HUB_GOALS } from './hub-goals.ts';

/** Writes a section from sets of results. `folder` contains the charts, relative to the page. */
type Section = (sets: readonly ResultSet[], folder: string) => string;

/** Writes the paragraphs of one scenario. */
type Write = (document: Recorded, folder: string) => readonly string[];

/** The generated sections of each page by name. */
export const PAGES: Readonly<Record<string, Readonly<Record<string, Section>>>> = {
  'README.md': {
    echo: oldest('compare', summary),
  },
  'docs/performance.md': {
    echo: oldest('compare', first),
    more: oldest('compare', rest),
    client: oldest('client', all),
    handshakes: oldest('handshakes', all),
    memory: oldest('memory', all),
    broadcast: oldest('broadcast', all),
    hub: oldest('hub', all),
    stream: oldest('stream', all),
    codec: oldest('codec', all),
    micro: oldest('micro', all),
    compression: oldest('deflate', all),
    newest,
  },
  'bench/GOALS.md': {
    goals: ([set]) => goalsTable(GOALS, set?.results ?? new Map()),
    'hub goals': ([set]) => goalsTable(HUB_GOALS, set?.results ?? new Map()),
  },
};

/** The README shows the first rows of the first table: the plain echoes from 16 B to 1 MiB. */
const SUMMARY_ROWS = 5;

/** The scenarios that a page shows on the newest Node too. */
const MAIN = ['compare', 'client', 'handshakes', 'memory', 'broadcast', 'hub', 'deflate'] as const;

/**
 * The sections of a page by name.
 *
 * @param path - A key of {@link PAGES}.
 * @param sets - That of the oldest Node first.
 */
export function sectionsOf(path: string, sets: readonly ResultSet[]): Map<string, string> {
  const folder = relative(dirname(path), CHARTS);
  return new Map(
    Object.entries(PAGES[path]!).map(([name, section]) => [name, section(sets, folder)]),
  );
}

/** A scenario on the oldest Node. Without a result it names the command that measures one. */
function oldest(scenario: string, write: Write): Section {
  return ([set], folder) => {
    const document = set?.results.get(scenario);
    const paragraphs = document === undefined ? [] : write(document, folder);
    return document === undefined || paragraphs.length === 0
      ? `No result is recorded yet. \`npx -y pnpm@10.34.9 bench ${scenario}\` measures it.`
      : [...paragraphs, ...notMeasured(document), originOf(document)].join('\n\n');
  };
}

/** The first table of each main scenario on the newest Node. */
function newest(sets: readonly ResultSet[]): string {
  const set = sets.slice(1).at(-1);
  if (set === undefined) return 'No result of a newer Node is recorded yet.';
  const documents = MAIN.flatMap((scenario) => set.results.get(scenario) ?? []);
  return documents
    .flatMap((document) => [...document.tables.slice(0, 1).flatMap(compared), originOf(document)])
    .join('\n\n');
}

/** The first table as a chart and as text. */
function first({ head, tables: [table] }: Recorded, folder: string): string[] {
  if (table === undefined) return [];
  return [chartLink(head.scenario, table, folder), ...compared(table)];
}

/** As {@link first}, with the first rows of the text only, and every row where a rival is faster. */
function summary({ head, tables: [table] }: Recorded, folder: string): string[] {
  if (table === undefined) return [];
  const rows = markdownOf(firstRows(table, SUMMARY_ROWS));
  return [chartLink(head.scenario, table, folder), rows, ...fasterRivals(table)];
}

function firstRows(table: Table, count: number): Table {
  const labels = table.labels.slice(0, count);
  const series = table.series.map((one) => ({ ...one, values: one.values.slice(0, count) }));
  return { ...table, labels, series };
}

function chartLink(scenario: string, { title, unit }: Table, folder: string): string {
  return `![${title}: ${unit}](${folder}/${chartName(scenario)})`;
}

/** Every contender, and the rows where a rival is faster. */
function compared(table: Table): string[] {
  return [markdownOf(table), ...fasterRivals(table)];
}

function rest({ tables }: Recorded): string[] {
  return tables.slice(1).map(foldedIfWide);
}

function all(document: Recorded, folder: string): string[] {
  return [...first(document, folder), ...rest(document)];
}

/** A wide table is folded, so that a page stays readable. */
function foldedIfWide(table: Table): string {
  if (table.series.length * table.labels.length < 40) return markdownOf(table);
  const { title } = table;
  return `<details><summary>${title}</summary>\n\n${markdownOf(table)}\n\n</details>`;
}

/** What the machine of a result could not run. */
function notMeasured({ notMeasured: lines = [] }: Recorded): string[] {
  return lines.map((line) => `Not measured on this machine: ${line}.`);
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
