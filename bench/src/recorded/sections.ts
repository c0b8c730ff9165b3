import type { Chart } from '../report/chart.ts';
import { type Goal, isMet } from '../report/goal.ts';
import { machineLine, versionLine } from '../report/head.ts';
import type { BenchDocument } from '../report/page.ts';
import type { Setting } from '../report/setting.ts';
import { svgName } from '../report/svg.ts';
import { number } from '../report/table.ts';
import { growths, HEAP_GOAL } from '../scenarios/compare-cells.ts';
import {
  type GoalLine,
  type GoalResults,
  type GrowthResult,
  goalLines,
  growthOf,
  type HeapResult,
} from '../scenarios/compare-report.ts';
import type { MemoryResult } from '../scenarios/deflate-memory.ts';
import { MEMORY_GOALS, STAGES, timesBare } from '../scenarios/memory-report.ts';
import { type Spread, spreadOf } from '../statistics.ts';
import { briefChart } from './brief-charts.ts';
import { chartTable, markdownTable, spreadText } from './markdown.ts';

/** Recorded documents, by scenario. */
export type Results = ReadonlyMap<string, BenchDocument>;

/** What the file names of the README's own pictures begin with. */
export const README_CHART = 'readme';

/** Paragraphs of one section; `folder` is where the pictures lie, seen from the page. */
type Section = (document: BenchDocument, folder: string) => readonly string[];

interface Page {
  /** Where the pictures lie, seen from the page. */
  readonly folder: string;
  /** By name: whose result it shows, and how. */
  readonly sections: Readonly<Record<string, readonly [scenario: string, write: Section]>>;
}

/** Who has figures in it, by path from the root. */
export const PAGES: Readonly<Record<string, Page>> = {
  'README.md': {
    folder: 'docs/charts',
    sections: {
      echo: ['compare', (document, folder) => [...brief(document, folder), times(document)]],
      memory: ['memory', brief],
      compression: ['deflate', brief],
    },
  },
  'docs/performance.md': {
    folder: 'charts',
    sections: {
      goals: ['compare', (document) => [goals(document)]],
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
 * What stands in a page, by section: what was recorded, and where it comes from. Where nothing was, it says how to.
 *
 * @param path - One of {@link PAGES}.
 */
export function sectionsOf(path: string, results: Results): Map<string, string> {
  const { folder, sections } = PAGES[path]!;
  return new Map(
    Object.entries(sections).map(([name, [scenario, write]]) => {
      const document = results.get(scenario);
      const paragraphs = document === undefined ? [] : write(document, folder).filter(Boolean);
      const text =
        document === undefined || paragraphs.length === 0
          ? `Nothing is recorded yet: \`npx -y pnpm@10.34.9 bench:record ${scenario}\` does it.`
          : [...paragraphs, origin(document)].join('\n\n');
      return [name, text];
    }),
  );
}

/** Where figures come from: without it they say nothing. */
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

/** As it was given, but for where the result went. */
export function commandOf({ head }: Pick<BenchDocument, 'head'>): string {
  return head.command.replace(/ --json(?:[ =]\S+)?/, '');
}

function brief(document: BenchDocument, folder: string): string[] {
  const chart = briefChart(document.head.scenario, document);
  if (chart === undefined) return [];
  return [picture(chart, `${folder}/${svgName(README_CHART, chart)}`)];
}

/** Every chart, with its figures below it for who wants to know them. */
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

/** What the document of `compare` has, as far as pages show it. */
interface CompareDocument extends GoalResults {
  readonly setting: Setting;
  readonly plan: { readonly rounds: number; readonly ms: number };
  readonly connections: { readonly most: number };
  readonly heap: readonly HeapResult[];
  readonly growths: readonly GrowthResult[];
}

function compared(document: BenchDocument): CompareDocument {
  return document as BenchDocument & CompareDocument;
}

/** How many times as many messages as `ws` and as TCP. */
function times(document: BenchDocument): string {
  const lines = goalLines(compared(document));
  if (lines.length === 0) return '';
  return markdownTable(
    ['messages per CPU second', '× `ws`', '× raw TCP'],
    lines.map(({ name, ws, raw }) => [name, spreadText(ws), spreadCell(raw)]),
  );
}

/** The same with what it is to be. */
function goals(document: BenchDocument): string {
  const lines = goalLines(compared(document));
  if (lines.length === 0) return '';
  return markdownTable(
    ['messages per CPU second', 'us', '× `ws`', 'must', 'aim', '× raw TCP', 'must', 'aim'],
    lines.map(({ name, us, ws, wsGoal, raw, rawGoal }: GoalLine) => [
      name,
      number(us),
      spreadText(ws),
      ...goalCells(ws.median, wsGoal, 'at least'),
      spreadCell(raw),
      ...(raw === undefined ? ['', ''] : goalCells(raw.median, rawGoal, 'at least')),
    ]),
  );
}

function heap(document: BenchDocument): string {
  const results = compared(document).heap;
  if (results.length === 0) return '';
  return markdownTable(
    ['heap bytes a message', '`receive`', '`ws`', 'raw TCP', 'beyond raw TCP', 'must', 'aim'],
    results.map(({ name, bytes }) => {
      const beyond = spreadOf(bytes.receive).median - spreadOf(bytes.raw).median;
      return [
        name,
        spreadText(spreadOf(bytes.receive)),
        spreadText(spreadOf(bytes.ws)),
        spreadText(spreadOf(bytes.raw)),
        number(beyond),
        ...goalCells(beyond, HEAP_GOAL, 'at most'),
      ];
    }),
  );
}

function growth(document: BenchDocument): string {
  const { growths: results, connections } = compared(document);
  if (results.length === 0) return '';
  // How many units a message has is a function, which no JSON holds.
  const known = growths(connections.most);
  return markdownTable(
    ['what one costs, large to small', '×', 'must', 'aim'],
    results.map((result) => {
      const { growth: recorded, contender } = result;
      const { units } = known.find(({ name }) => name === recorded.name)!;
      const more = growthOf({ ...result, growth: { ...recorded, units } });
      return [
        `${recorded.name}, a ${recorded.unit}: ${contender}`,
        spreadText(more),
        ...(contender === 'receive' ? goalCells(more.median, recorded.goal, 'at most') : ['', '']),
      ];
    }),
  );
}

/** An idle connection without compression, next to a socket without a library. */
function timesOfBare(document: BenchDocument): string {
  const { results } = document as BenchDocument & { readonly results: readonly MemoryResult[] };
  return markdownTable(
    ['an idle connection, × a bare socket', 'ours', 'must', 'aim', '`ws`'],
    STAGES.map(([stage, when]) => {
      const own = timesBare(results, 'ours', 'uncompressed', stage);
      return [
        when,
        spreadText(own),
        ...goalCells(own.median, MEMORY_GOALS[stage], 'at most'),
        spreadText(timesBare(results, 'ws', 'uncompressed', stage)),
      ];
    }),
  );
}

function spreadCell(spread: Spread | undefined): string {
  return spread === undefined ? '' : spreadText(spread);
}

/** Each bound, and whether it was met. */
function goalCells(
  value: number,
  goal: Goal | undefined,
  direction: 'at least' | 'at most',
): string[] {
  if (goal === undefined) return ['', ''];
  return [goal.must, goal.aim].map(
    (bound) => `${bound} ${isMet(value, bound, direction) ? 'met' : 'missed'}`,
  );
}
