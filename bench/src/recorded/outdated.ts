import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchDocument } from '../report/page.ts';
import { svgFiles, svgName, svgOf } from '../report/svg.ts';
import { briefChart } from './brief-charts.ts';
import { strayFigures } from './figures.ts';
import { fillMarkers } from './markers.ts';
import { commandOf, PAGES, README_CHART, type Results, sectionsOf } from './sections.ts';

/** Where recorded results lie, from the root. */
export const RESULTS = 'bench/results';
const CHARTS = 'docs/charts';

/** A file that is made of recorded results, and is not as it should be. */
export interface Outdated {
  /** From the root. */
  readonly path: string;
  /** What is to stand in it; undefined when there is to be no such file. */
  readonly content: string | undefined;
}

/**
 * Holds pictures and pages against the recorded results.
 *
 * @param root - The folder that has `bench/results` and the pages.
 * @throws Error for a page whose places are not those that it is to have.
 */
export function outdated(root: string): Outdated[] {
  const results = readResults(root);
  const wanted = new Map([...picturesOf(results), ...pagesOf(root, results)]);
  const files: Outdated[] = [...wanted].map(([path, content]) => ({ path, content }));
  for (const name of namesIn(root, CHARTS, '.svg')) {
    const path = `${CHARTS}/${name}`;
    if (!wanted.has(path)) files.push({ path, content: undefined });
  }
  return files.filter(({ path, content }) => contentOf(root, path) !== content);
}

/** What people did that no script can put right, in words: a figure by hand, a result that is none to quote. */
export function faults(root: string): string[] {
  const byHand = Object.keys(PAGES).flatMap((path) =>
    strayFigures(contentOf(root, path) ?? '').map(
      ({ line, figure }) => `${path}:${line}: '${figure}' comes from no recorded result`,
    ),
  );
  const partial = [...readResults(root)].flatMap(([scenario, document]) => {
    const [option] = / --(?:quick|only)\b/.exec(commandOf(document)) ?? [];
    if (option === undefined) return [];
    return [`${RESULTS}/${scenario}.json was recorded with${option}: no figures to quote`];
  });
  return [...byHand, ...partial];
}

function readResults(root: string): Results {
  return new Map(
    namesIn(root, RESULTS, '.json').map((name) => {
      const text = readFileSync(join(root, RESULTS, name), 'utf8');
      return [name.slice(0, -'.json'.length), JSON.parse(text) as BenchDocument];
    }),
  );
}

function picturesOf(results: Results): [path: string, svg: string][] {
  return [...results].flatMap(([scenario, document]) => {
    const files = svgFiles(scenario, document);
    const brief = briefChart(scenario, document);
    if (brief !== undefined) files.set(svgName(README_CHART, brief), svgOf(brief, document.head));
    return [...files].map(([name, svg]): [string, string] => [`${CHARTS}/${name}`, svg]);
  });
}

function pagesOf(root: string, results: Results): [path: string, text: string][] {
  return Object.keys(PAGES).map((path) => {
    const page = contentOf(root, path) ?? '';
    try {
      return [path, fillMarkers(page, sectionsOf(path, results))];
    } catch (error) {
      throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
    }
  });
}

function namesIn(root: string, folder: string, ending: string): string[] {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .filter((name) => name.endsWith(ending))
    .toSorted();
}

function contentOf(root: string, path: string): string | undefined {
  const file = join(root, path);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
