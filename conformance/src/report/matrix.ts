import type { CaseFacts, CaseResult, Verdict } from '../model/case.ts';
import { CHAPTERS } from '../model/chapter.ts';
import { WEIGHTS } from '../model/weights.ts';
import { countsOf, type SuiteReport } from '../run/suite-report.ts';
import {
  type FindingCounts,
  findingCountsOf,
  findingsOf,
  idsText,
  titlesText,
} from './findings.ts';
import { countsText, explainedIn, type TextOptions } from './text.ts';

/** A target of a matrix. */
export interface Agent {
  readonly name: string;
  readonly report: SuiteReport;
  /** False: its run was stopped. */
  readonly complete: boolean;
}

/** A case of a matrix. */
export interface MatrixRow {
  readonly facts: CaseFacts;
  /** One for each agent; undefined when its report lacks the case. */
  readonly results: readonly (CaseResult | undefined)[];
  /** True: the agents that have the case have different verdicts. */
  readonly differs: boolean;
}

/** Targets side by side. */
export interface Matrix {
  readonly role: SuiteReport['role'];
  readonly agents: readonly Agent[];
  /** In the order of the suite. */
  readonly rows: readonly MatrixRow[];
}

/** The letter of each verdict, in the order of a legend. */
export const LETTERS: Readonly<Record<Verdict, string>> = {
  pass: 'P',
  fail: 'F',
  'non-strict': 'N',
  advice: 'A',
  skipped: 'S',
  error: 'E',
};

export const VERDICTS = Object.keys(LETTERS) as Verdict[];

/** The letter of a case that is not in the report. */
export const NOT_RUN = '-';

/**
 * Puts reports of one role side by side.
 *
 * @throws Error for reports of servers beside reports of clients: there an id means another case.
 */
export function matrixOf(agents: readonly Agent[]): Matrix {
  const [first, ...others] = agents;
  if (first === undefined) throw new Error('expected one report or more; see --help');
  const { role } = first.report;
  const other = others.find(({ report }) => report.role !== role);
  if (other !== undefined) {
    throw new Error(
      `${first.name} is a ${role} and ${other.name} a ${other.report.role}; make a matrix of each`,
    );
  }
  const byId = agents.map(({ report }) => new Map(report.results.map((one) => [one.id, one])));
  const facts = new Map<string, CaseFacts>();
  for (const { report } of agents) {
    for (const one of report.results) if (!facts.has(one.id)) facts.set(one.id, one);
  }
  const rows = [...facts.values()].toSorted(inOrder).map((one) => {
    const results = byId.map((cases) => cases.get(one.id));
    const verdicts = new Set(results.flatMap((result) => result?.verdict ?? []));
    return { facts: one, results, differs: verdicts.size > 1 };
  });
  return { role, agents, rows };
}

function inOrder(a: CaseFacts, b: CaseFacts): number {
  const [left, right] = [a, b].map(({ id }) => id.split('.').map(Number)) as [number[], number[]];
  return left.map((number, at) => number - right[at]!).find((difference) => difference !== 0) ?? 0;
}

/** The causes of one agent. */
export function agentFindings({ report }: Agent): FindingCounts {
  return findingCountsOf(findingsOf(report.results));
}

/** Rows of a chapter, in the order of the chapters. */
export function rowsByChapter(rows: readonly MatrixRow[]): [title: string, rows: MatrixRow[]][] {
  const chapters = [...new Set(rows.map(({ facts }) => facts.chapter))];
  return chapters.map((number) => [
    `${number} ${CHAPTERS[number] ?? ''}`,
    rows.filter(({ facts }) => facts.chapter === number),
  ]);
}

/** The counts of one agent in some rows: `229P 14F`. */
function cellText(rows: readonly MatrixRow[], agent: number): string {
  const counts = countsOf(rows.flatMap(({ results }) => results[agent] ?? []));
  const cells = VERDICTS.filter((verdict) => counts[verdict] > 0);
  return cells.map((verdict) => `${counts[verdict]}${LETTERS[verdict]}`).join(' ') || NOT_RUN;
}

/** The verdicts of a row as letters, one for each agent. */
function lettersOf({ results }: MatrixRow): string[] {
  return results.map((result) => (result === undefined ? NOT_RUN : LETTERS[result.verdict]));
}

/** What the letters mean. */
const LEGEND = [
  ...VERDICTS.map((verdict) => `${LETTERS[verdict]} ${verdict}`),
  `${NOT_RUN} not in the report`,
].join(', ');

/**
 * Formats reports side by side for a terminal: targets, causes, chapters, then the cases whose
 * verdicts differ.
 *
 * @param options - `verbose`: a line for each case, also for those whose verdicts are the same.
 */
export function matrixText(matrix: Matrix, { verbose = false }: TextOptions = {}): string {
  const { role, agents, rows } = matrix;
  const differing = rows.filter(({ differs }) => differs);
  const equal = rows.filter(({ differs }) => !differs);
  const heads = agents.map((_, at) => String(at + 1));
  const summary = `${differing.length} of ${rows.length} cases differ`;
  const parts = [
    `conformance of ${agents.length === 1 ? `a ${role}` : `${agents.length} ${role}s`}: ${LEGEND}`,
    agents.map((agent, at) => agentText(agent, at)).join('\n'),
    columns([['causes by weight', ...heads], ...causeRows(agents)]),
    columns([
      ['chapter', ...heads],
      ...rowsByChapter(rows).map(([title, some]) => [
        title,
        ...agents.map((_, at) => cellText(some, at)),
      ]),
    ]),
    ...(differing.length > 0 ? [caseTable('differing cases', heads, differing, verbose)] : []),
    ...(verbose && equal.length > 0 ? [caseTable('other cases', heads, equal, verbose)] : []),
    summary,
  ];
  return `${parts.join('\n\n')}\n`;
}

function agentText(agent: Agent, at: number): string {
  const { name, report, complete } = agent;
  const stopped = complete ? '' : ', stopped';
  const counts = countsText(report.counts, agentFindings(agent));
  return `  ${at + 1}  ${name}: ${report.target}, ${report.started.slice(0, 'yyyy-mm-dd'.length)}${stopped}\n     ${counts}`;
}

function causeRows(agents: readonly Agent[]): string[][] {
  const found = agents.map(agentFindings);
  const verdicts = [...new Set(found.flatMap(explainedIn))];
  return verdicts.flatMap((verdict) =>
    WEIGHTS.map((weight) => [
      `${verdict}, ${weight}`,
      ...found.map((counts) => String(counts[verdict][weight])),
    ]),
  );
}

/** Formats cases. Those of a section with the same verdicts share a line, unless `verbose`. */
function caseTable(
  title: string,
  heads: readonly string[],
  rows: readonly MatrixRow[],
  verbose: boolean,
): string {
  const groups = new Map<string, MatrixRow[]>();
  for (const row of rows) {
    const { id, weight } = row.facts;
    const key = verbose ? id : [id.replace(/\.\d+$/, ''), weight, ...lettersOf(row)].join(' ');
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return columns([
    [title, ...heads, 'weight', ''],
    ...[...groups.values()].map((group) => {
      const facts = group.map((row) => row.facts);
      const titles = titlesText(facts, MAX_TITLES);
      return [idsText(facts, MAX_IDS), ...lettersOf(group[0]!), facts[0]!.weight, titles];
    }),
  ]);
}

/** Ids and titles in a line of cases, in characters and in titles. */
const [MAX_IDS, MAX_TITLES] = [28, 2];

/** Space between columns. */
const GAP = '  ';

function columns(table: readonly (readonly string[])[]): string {
  const widths = table[0]!.map((_, at) => Math.max(...table.map((row) => row[at]!.length)));
  return table
    .map((row) => `  ${row.map((cell, at) => cell.padEnd(widths[at]!)).join(GAP)}`.trimEnd())
    .join('\n');
}
