import { dirname, relative } from 'node:path/posix';
import { machineLine, versionLine } from '../report/head.ts';
import { markdownOf, type Table } from '../report/table.ts';
import { CHARTS, chartName, commandOf, type Recorded, type Results } from './documents.ts';
import { fasterRivals } from './faster-rivals.ts';
import { goalsTable } from './goals.ts';

/** Writes the paragraphs of one section. `folder` contains the charts, relative to the page. */
type Write = (document: Recorded, folder: string) => readonly string[];

/** The generated sections of each page by name: the scenario, and what is written of it. */
export const PAGES: Readonly<Record<string, Readonly<Record<string, readonly [string, Write]>>>> = {
  'README.md': {
    echo: ['compare', first],
  },
  'docs/performance.md': {
    echo: ['compare', first],
    more: ['compare', rest],
    client: ['client', all],
    handshakes: ['handshakes', all],
    memory: ['memory', all],
    broadcast: ['broadcast', all],
    stream: ['stream', all],
    codec: ['codec', all],
    micro: ['micro', all],
    compression: ['deflate', all],
  },
  'bench/GOALS.md': {},
};

/** The section of the page of goals, which is of all results. */
const GOALS = 'goals';

/**
 * The sections of a page by name: the recorded tables and their origin. A section without a result
 * names the command that records it.
 *
 * @param path - A key of {@link PAGES}.
 */
export function sectionsOf(path: string, results: Results): Map<string, string> {
  if (path === 'bench/GOALS.md') return new Map([[GOALS, goalsTable(results)]]);
  const folder = relative(dirname(path), CHARTS);
  return new Map(
    Object.entries(PAGES[path]!).map(([name, [scenario, write]]) => {
      const document = results.get(scenario);
      const paragraphs = document === undefined ? [] : write(document, folder);
      const text =
        document === undefined || paragraphs.length === 0
          ? `No result is recorded yet. \`npx -y pnpm@10.34.9 bench ${scenario}\` measures it.`
          : [...paragraphs, originOf(document)].join('\n\n');
      return [name, text];
    }),
  );
}

/** The first table with every contender as a chart and as text, and the rows where a rival is faster. */
function first({ head, tables: [table] }: Recorded, folder: string): string[] {
  if (table === undefined) return [];
  const chart = `![${table.title}: ${table.unit}](${folder}/${chartName(head.scenario)})`;
  return [chart, markdownOf(table), ...fasterRivals(table)];
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
