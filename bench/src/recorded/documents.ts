import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Head } from '../report/head.ts';
import type { Table } from '../report/table.ts';
import type { ScenarioDocument } from '../scenarios/scenario.ts';

/** Folder of the recorded results, relative to the root. */
export const RESULTS = 'bench/results';

/** Folder of the charts of the pages, relative to the root. */
export const CHARTS = 'docs/charts';

/** The page with every table of a set, relative to the root. */
export function resultsPage(set: string): string {
  return `${RESULTS}/${set}/README.md`;
}

/** The file of the chart of a scenario in {@link CHARTS}. */
export function chartName(scenario: string): string {
  return `${scenario}.svg`;
}

/** A recorded result. Older formats have tables alone. */
export interface Recorded extends Partial<ScenarioDocument> {
  readonly head: Head;
  readonly tables: readonly Table[];
  /** Why the figures may not be those of a quiet machine. */
  readonly warnings?: readonly string[];
}

/** Recorded results by scenario. */
export type Results = ReadonlyMap<string, Recorded>;

/** The results of one major version of Node. */
export interface ResultSet {
  /** The folder of the set in {@link RESULTS}: `node-20`. */
  readonly name: string;
  readonly results: Results;
}

/** The name of the set that this process records. */
export function currentSet(): string {
  return `node-${process.versions.node.split('.')[0]}`;
}

/** A document as JSON, with each list of numbers in one line. */
export function documentText(document: object): string {
  const text = JSON.stringify(document, rounded, 1);
  return `${text.replace(/\[[-\d.,e\s]+\]/g, (list) => list.replace(/\s+/g, ''))}\n`;
}

/** Six significant digits. */
function rounded(_: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isInteger(value)) return value;
  return Number(value.toPrecision(6));
}

/**
 * The recorded sets, that of the oldest Node first.
 *
 * @param root - The folder that contains {@link RESULTS}.
 */
export function readSets(root: string): ResultSet[] {
  const folder = join(root, RESULTS);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names
    .toSorted((a, b) => majorOf(a) - majorOf(b))
    .map((name) => ({ name, results: readResults(join(folder, name)) }));
}

function majorOf(set: string): number {
  return Number(set.replace('node-', ''));
}

function readResults(folder: string): Results {
  return new Map(
    readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .toSorted()
      .map((name) => {
        const text = readFileSync(join(folder, name), 'utf8');
        return [name.slice(0, -'.json'.length), JSON.parse(text) as Recorded];
      }),
  );
}

/** The command of the user, without the file of its result. */
export function commandOf({ head }: Pick<Recorded, 'head'>): string {
  return head.command.replace(/ --json(?:[ =]\S+)?/, '');
}
