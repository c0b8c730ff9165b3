import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Head } from '../src/report/head.ts';
import type { Table } from '../src/report/table.ts';
import type { ScenarioDocument } from '../src/scenarios/scenario.ts';

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
  /** The rows whose first readings scattered, or had a base with two modes. */
  readonly measuredAgain?: readonly string[];
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

/** The Node of a set: `Node 20`. */
export function nodeOf({ name }: Pick<ResultSet, 'name'>): string {
  return name.replace('node-', 'Node ');
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
    .map((name) => readSet(root, RESULTS, name))
    .toSorted((a, b) => Number(a.name.slice(5)) - Number(b.name.slice(5)));
}

/** One set of a folder that is relative to the root. Without results when it is missing. */
export function readSet(root: string, parent: string, name: string): ResultSet {
  const folder = join(root, parent, name);
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return {
    name,
    results: new Map(
      files
        .filter((file) => file.endsWith('.json'))
        .toSorted()
        .map((file) => {
          const text = readFileSync(join(folder, file), 'utf8');
          return [file.slice(0, -'.json'.length), JSON.parse(text) as Recorded];
        }),
    ),
  };
}

/** The command of the user, without the file of its result. */
export function commandOf({ head }: Pick<Recorded, 'head'>): string {
  return head.command.replace(/ --json(?:[ =]\S+)?/, '');
}
