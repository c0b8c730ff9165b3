import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { chartOf } from '../src/report/chart.ts';
import { sourcesChanged } from '../src/report/commit.ts';
import {
  CHARTS,
  chartName,
  commandOf,
  RESULTS,
  type Recorded,
  type ResultSet,
  type Results,
  readSets,
  resultsPage,
} from './documents.ts';
import { fillMarkers } from './markers.ts';
import { chartedTable, doubtsOf, PAGES, pageOfSet, sectionsOf } from './sections.ts';
import { strayFigures } from './stray-figures.ts';

export const CHARTS_HELP = `charts: draws the charts and writes the tables of the pages from recorded results

usage: pnpm bench charts [--check]

Writes ${CHARTS}/*.svg, the tables of ${Object.keys(PAGES).join(', ')}
and every table into ${RESULTS}/node-*/README.md, from the documents beside it. The first three and the
charts show the oldest Node there.

options
  --check  write nothing; fail for a chart or a table that differs from its result, for a figure
           outside the generated tables, and for a result of a partial run, with a warning, or
           with two modes
`;

/** Pages where a figure by hand is a fault. Goals are figures by hand. */
const CHECKED: readonly string[] = ['README.md', 'docs/performance.md'];

/**
 * Writes the pages, or with `check` prints how they differ.
 *
 * @returns The exit code.
 */
export async function charts(root: string, check: boolean): Promise<number> {
  for (const line of staleResults(root)) process.stderr.write(`note: ${line}\n`);
  if (!check) {
    await writePages(root);
    return 0;
  }
  const pages = (await outdated(root)).map(({ path }) => `${path} differs from ${RESULTS}`);
  const lines = [...pages, ...(pages.length > 0 ? ['run pnpm bench charts'] : []), ...faults(root)];
  for (const line of lines) process.stderr.write(`${line}\n`);
  return lines.length > 0 ? 1 : 0;
}

/** A page or a chart that differs from the recorded results. */
interface Outdated {
  /** Relative to the root. */
  readonly path: string;
  /** Undefined for a chart without a result. */
  readonly content: string | undefined;
}

/**
 * The pages and the charts that differ from the recorded results.
 *
 * @param root - The folder that contains `bench/results` and the pages.
 * @throws Error for a page whose markers do not match its sections.
 */
export async function outdated(root: string): Promise<Outdated[]> {
  const sets = readSets(root);
  const pages = Object.keys(PAGES).map((path) => ({ path, content: filled(root, path, sets) }));
  const tables = sets.map((set) => ({ path: resultsPage(set.name), content: pageOfSet(set) }));
  return [...pages, ...tables, ...(await drawn(root, sets[0]?.results ?? new Map()))].filter(
    ({ path, content }) => contentOf(root, path) !== content,
  );
}

/** The chart of each result. */
async function drawn(root: string, results: Results): Promise<Outdated[]> {
  const charts = new Map<string, string | undefined>();
  const folder = join(root, CHARTS);
  for (const name of existsSync(folder) ? readdirSync(folder) : []) charts.set(name, undefined);
  for (const [scenario, document] of results) {
    const table = chartedTable(document);
    if (table !== undefined) charts.set(chartName(scenario), await chartOf(table, document.head));
  }
  return [...charts].map(([name, content]) => ({ path: `${CHARTS}/${name}`, content }));
}

/** Writes every page and every chart that differs from the results. */
export async function writePages(root: string): Promise<void> {
  for (const { path, content } of await outdated(root)) {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    if (content === undefined) rmSync(file);
    else writeFileSync(file, content);
    process.stdout.write(`${content === undefined ? 'removed' : 'wrote'} ${path}\n`);
  }
  for (const fault of faults(root)) process.stderr.write(`${fault}\n`);
}

/** Faults that need a person, as messages: a handwritten figure, a result that nobody should quote. */
function faults(root: string): string[] {
  const byHand = CHECKED.flatMap((path) =>
    strayFigures(contentOf(root, path) ?? '').map(
      ({ line, figure }) => `${path}:${line}: '${figure}' is not from a recorded result`,
    ),
  );
  const unusable = readSets(root).flatMap(({ name, results }) =>
    [...results].flatMap(([scenario, document]) =>
      faultsOf(document).map((fault) => `${RESULTS}/${name}/${scenario}.json: ${fault}`),
    ),
  );
  return [...byHand, ...unusable];
}

/** Why a result has to be measured again. */
function faultsOf(document: Recorded): string[] {
  const { scenario } = document.head;
  const { rows, warnings } = doubtsOf(document);
  const [option] = / --(?:quick|only)\b/.exec(commandOf(document)) ?? [];
  return [
    ...(option === undefined ? [] : [`recorded with${option}; record a full run`]),
    ...[...rows, ...warnings].map(
      (why) => `${why}; pnpm bench record ${scenario} measures it again`,
    ),
  ];
}

/** The sets whose measured sources have changed since, as messages. */
function staleResults(root: string): string[] {
  return readSets(root).flatMap(({ name, results }) => {
    const commits = new Set([...results.values()].flatMap(({ head }) => head.commit ?? []));
    return [...commits]
      .filter((commit) => sourcesChanged(root, commit))
      .map((commit) => `${RESULTS}/${name}: sources of packages have changed since ${commit}`);
  });
}

function filled(root: string, path: string, sets: readonly ResultSet[]): string {
  try {
    return fillMarkers(contentOf(root, path) ?? '', sectionsOf(path, sets));
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

function contentOf(root: string, path: string): string | undefined {
  const file = join(root, path);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
