import { type Spread, spreadOf } from '../harness/statistics.ts';
import type { Chart } from '../report/chart.ts';
import { machineLine, versionLine } from '../report/head.ts';
import type { BenchDocument } from '../report/html-page.ts';
import type { Setting } from '../report/setting.ts';
import { svgName } from '../report/svg.ts';
import { number } from '../report/table.ts';
import { growths } from '../scenarios/compare-cells.ts';
import {
  type GrowthResult,
  growthOf,
  type HeapResult,
  type RatioResults,
  ratioLines,
} from '../scenarios/compare-report.ts';
import type { MemoryResult } from '../scenarios/idle-memory.ts';
import { STAGES, timesBare } from '../scenarios/memory-report.ts';
import { chartTable, markdownTable, spreadText } from './markdown.ts';
import { readmeChart } from './readme-charts.ts';

/** Recorded documents by scenario. */
export type Results = ReadonlyMap<string, BenchDocument>;

/** Prefix of the file names of the README's charts. */
export const README_CHART = 'readme';

/** Writes the paragraphs of one section. `folder` contains the charts, relative to the page. */
type Section = (document: BenchDocument, folder: string) => readonly string[];

interface Page {
  /** Folder of the charts, relative to the page. */
  readonly folder: string;
  /** Sections by name: the scenario, and the function that writes the section. */
  readonly sections: Readonly<Record<string, readonly [scenario: string, write: Section]>>;
}

/** The pages with generated sections, by path relative to the root. */
export const PAGES: Readonly<Record<string, Page>> = {
  'README.md': {
    folder: 'docs/charts',
    sections: {
      echo: ['compare', brief],
    },
  },
  'docs/performance.md': {
    folder: 'charts',
    sections: {
      messages: ['compare', (document) => [ratios(document)]],
      echo: ['compare', pictures],
      heap: ['compare', (document) => [heap(document)]],
      growth: ['compare', (document) => [growth(document)]],
      memory: [
        'memory',
        (document, folder) => [timesOfBare(document), ...pictures(document, folder)],
      ],
      broadcast: ['broadcast', pictures],
      stream: ['stream', pictures],
      codec: ['codec', pictures],
      compression: ['deflate', pictures],
    },
  },
};

/**
 * The sections of a page by name: the recorded figures and their origin. A section without a result
 * names the command that records it.
 *
 * @param path - A key of {@link PAGES}.
 */
export function sectionsOf(path: string, results: Results): Map<string, string> {
  const { folder, sections } = PAGES[path]!;
  return new Map(
    Object.entries(sections).map(([name, [scenario, write]]) => {
      const document = results.get(scenario);
      const paragraphs = document === undefined ? [] : write(document, folder).filter(Boolean);
      const text =
        document === undefined || paragraphs.length === 0
          ? `No result is recorded yet. \`npx -y pnpm@10.34.9 bench record ${scenario}\` records one.`
          : [...paragraphs, origin(document)].join('\n\n');
      return [name, text];
    }),
  );
}

/** The machine, the versions and the command behind the figures. */
function origin(document: BenchDocument): string {
  const { head } = document;
  const { setting, plan } = document as Partial<CompareDocument>;
  const { server, load } = setting?.pinned ?? {};
  const facts = [
    machineLine(head),
    ...(server === undefined || load === undefined
      ? []
      : [`server on core ${server}, load on core ${load}`]),
    versionLine(head),
    head.date.slice(0, 10),
    ...(plan === undefined ? [] : [`${plan.rounds} rounds of ${plan.ms} ms`]),
  ];
  return `<sub>\`${commandOf(document)}\`: ${facts.join('; ')}.</sub>`;
}

/** The command of the user, without the file of its result. */
export function commandOf({ head }: Pick<BenchDocument, 'head'>): string {
  return head.command.replace(/ --json(?:[ =]\S+)?/, '');
}

function brief(document: BenchDocument, folder: string): string[] {
  const chart = readmeChart(document.head.scenario, document);
  if (chart === undefined) return [];
  return [picture(chart, `${folder}/${svgName(README_CHART, chart)}`)];
}

/** Each chart, followed by its figures as a table. */
function pictures({ head, charts }: BenchDocument, folder: string): string[] {
  return charts.map((chart) =>
    [
      picture(chart, `${folder}/${svgName(head.scenario, chart)}`),
      '<details><summary>as a table</summary>',
      chartTable(chart),
      '</details>',
    ].join('\n\n'),
  );
}

function picture(chart: Chart, path: string): string {
  const { title, unit, note } = chart;
  return `![${title}: ${unit}](${path})${note === undefined ? '' : `\n\n${note}`}`;
}

/** The part of the document of `compare` that the pages show. */
interface CompareDocument extends RatioResults {
  readonly setting: Setting;
  readonly plan: { readonly rounds: number; readonly ms: number };
  readonly connections: { readonly most: number };
  readonly heap: readonly HeapResult[];
  readonly growths: readonly GrowthResult[];
}

function compared(document: BenchDocument): CompareDocument {
  return document as BenchDocument & CompareDocument;
}

/** Messages per CPU second, as times those of `ws` and of TCP, with microseconds of CPU for a message. */
function ratios(document: BenchDocument): string {
  const lines = ratioLines(compared(document));
  if (lines.length === 0) return '';
  return markdownTable(
    ['messages per CPU second', 'us', '× `ws`', '× raw TCP'],
    lines.map(({ name, us, ws, raw }) => [name, number(us), spreadText(ws), spreadCell(raw)]),
  );
}

function heap(document: BenchDocument): string {
  const results = compared(document).heap;
  if (results.length === 0) return '';
  return markdownTable(
    ['heap bytes a message', '`receive`', '`ws`', 'raw TCP', 'beyond raw TCP'],
    results.map(({ name, bytes }) => {
      const beyond = spreadOf(bytes.receive).median - spreadOf(bytes.raw).median;
      return [
        name,
        spreadText(spreadOf(bytes.receive)),
        spreadText(spreadOf(bytes.ws)),
        spreadText(spreadOf(bytes.raw)),
        number(beyond),
      ];
    }),
  );
}

function growth(document: BenchDocument): string {
  const { growths: results, connections } = compared(document);
  if (results.length === 0) return '';
  // JSON has no functions, so `units` comes from the source.
  const known = growths(connections.most);
  return markdownTable(
    ['cost of a unit, large to small', '×'],
    results.map((result) => {
      const { growth: recorded, contender } = result;
      const { units } = known.find(({ name }) => name === recorded.name)!;
      const more = growthOf({ ...result, growth: { ...recorded, units } });
      return [`${recorded.name}, a ${recorded.unit}: ${contender}`, spreadText(more)];
    }),
  );
}

/** An idle connection without compression, next to a socket without a library. */
function timesOfBare(document: BenchDocument): string {
  const { results } = document as BenchDocument & { readonly results: readonly MemoryResult[] };
  return markdownTable(
    ['an idle connection, × a bare socket', 'ours', '`ws`'],
    STAGES.map(([stage, when]) => {
      const own = timesBare(results, 'ours', 'uncompressed', stage);
      return [when, spreadText(own), spreadText(timesBare(results, 'ws', 'uncompressed', stage))];
    }),
  );
}

function spreadCell(spread: Spread | undefined): string {
  return spread === undefined ? '' : spreadText(spread);
}
