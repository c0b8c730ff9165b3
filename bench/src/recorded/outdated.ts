import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchDocument } from '../report/html-page.ts';
import { svgFiles, svgName, svgOf } from '../report/svg.ts';
import { fillMarkers } from './markers.ts';
import { readmeChart } from './readme-charts.ts';
import { commandOf, PAGES, README_CHART, type Results, sectionsOf } from './sections.ts';
import { strayFigures } from './stray-figures.ts';

/** Folder of the recorded results, relative to the root. */
export const RESULTS = 'bench/results';
const CHARTS = 'docs/charts';

/** A generated file that differs from its recorded result. */
export interface Outdated {
  /** Relative to the root. */
  readonly path: string;
  /** The new content; undefined for a file that must not exist. */
  readonly content: string | undefined;
}

/**
 * Compares pictures and pages with the recorded results.
 *
 * @param root - The folder that contains `bench/results` and the pages.
 * @throws Error for a page whose markers do not match its sections.
 */
export async function outdated(root: string): Promise<Outdated[]> {
  const results = readResults(root);
  const wanted = new Map([...(await picturesOf(results)), ...pagesOf(root, results)]);
  const files: Outdated[] = [...wanted].map(([path, content]) => ({ path, content }));
  for (const name of namesIn(root, CHARTS, '.svg')) {
    const path = `${CHARTS}/${name}`;
    if (!wanted.has(path)) files.push({ path, content: undefined });
  }
  return files.filter(({ path, content }) => contentOf(root, path) !== content);
}

/** Faults that need a person, as messages: a handwritten figure, a result of a partial run. */
export function faults(root: string): string[] {
  const byHand = Object.keys(PAGES).flatMap((path) =>
    strayFigures(contentOf(root, path) ?? '').map(
      ({ line, figure }) => `${path}:${line}: '${figure}' is not from a recorded result`,
    ),
  );
  const partial = [...readResults(root)].flatMap(([scenario, document]) => {
    const [option] = / --(?:quick|only)\b/.exec(commandOf(document)) ?? [];
    if (option === undefined) return [];
    return [`${RESULTS}/${scenario}.json was recorded with${option}; record a full run`];
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

async function picturesOf(results: Results): Promise<[path: string, svg: string][]> {
  const pictures: [path: string, svg: string][] = [];
  for (const [scenario, document] of results) {
    const files = await svgFiles(scenario, document);
    const brief = readmeChart(scenario, document);
    if (brief !== undefined) {
      files.set(svgName(README_CHART, brief), await svgOf(brief, document.head));
    }
    for (const [name, svg] of files) pictures.push([`${CHARTS}/${name}`, svg]);
  }
  return pictures;
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
