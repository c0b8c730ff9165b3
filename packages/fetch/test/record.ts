import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { RuntimeName } from './runtimes.ts';

type Outcomes = Record<string, boolean>;
type Results = Partial<Record<RuntimeName, Outcomes>>;

const DOCS = join(import.meta.dirname, '../../../docs');
const RESULTS = join(DOCS, 'fetch.json');
const PAGE = join(DOCS, 'fetch.md');
const START = '<!-- Written by WRITE_FETCH=1 and the slow tests of @ws/fetch. Do not edit. -->\n';
const END = '<!-- The end of the table. -->\n';

function results(): Results {
  return JSON.parse(readFileSync(RESULTS, 'utf8')) as Results;
}

/** What docs/fetch.json says that a runtime has. */
export function outcomesOf(name: RuntimeName): Outcomes {
  return results()[name] ?? {};
}

/** With WRITE_FETCH=1, writes what a runtime has to docs/fetch.json, and the table of docs/fetch.md. */
export function record(name: RuntimeName, outcomes: Outcomes): void {
  if (process.env['WRITE_FETCH'] === undefined) return;
  const all = { ...results(), [name]: outcomes };
  writeFileSync(RESULTS, `${JSON.stringify(all, null, 2)}\n`);
  writeFileSync(PAGE, withTable(readFileSync(PAGE, 'utf8'), all));
}

/** The page with the table of these results: features that the same runtimes lack share a row. */
export function withTable(page: string, all: Results): string {
  const names = Object.keys(all) as RuntimeName[];
  const rows = new Map<string, string[]>();
  for (const feature of new Set(names.flatMap((name) => Object.keys(all[name]!)))) {
    const cells = names
      .map((name) => (all[name]![feature] === true ? 'yes' : '**no**'))
      .join(' | ');
    rows.set(cells, [...(rows.get(cells) ?? []), feature]);
  }
  const lines = [
    `| | ${names.join(' | ')} |`,
    `|---|${names.map(() => '---|').join('')}`,
    ...[...rows]
      .toSorted(([a], [b]) => (a > b ? -1 : 1))
      .map(([cells, features]) => `| ${features.join('; ')} | ${cells} |`),
  ];
  const [before, rest] = page.split(START);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error('docs/fetch.md has no place for the table');
  return `${before}${START}\n${lines.join('\n')}\n\n${END}${after}`;
}
