// Draws the charts of recorded results: results/*.json becomes docs/charts/*.svg. With --check nothing is written, and
// it fails when a picture is not that of its result.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { BenchDocument } from './src/report/page.ts';
import { svgFiles } from './src/report/svg.ts';

const results = join(import.meta.dirname, 'results');
const charts = join(import.meta.dirname, '../docs/charts');

const wanted = new Map<string, string>();
for (const file of filesOf(results, '.json')) {
  const document = JSON.parse(readFileSync(join(results, file), 'utf8')) as BenchDocument;
  for (const [name, svg] of svgFiles(file.slice(0, -'.json'.length), document)) {
    wanted.set(name, svg);
  }
}

const wrong = [
  ...[...wanted].filter(([name, svg]) => contentOf(name) !== svg).map(([name]) => name),
  ...filesOf(charts, '.svg').filter((name) => !wanted.has(name)),
];

if (process.argv.includes('--check')) {
  for (const name of wrong) console.error(`docs/charts/${name} is not what bench/results says`);
  if (wrong.length > 0) console.error('run pnpm bench:charts');
  process.exitCode = wrong.length > 0 ? 1 : 0;
} else {
  if (wanted.size > 0) mkdirSync(charts, { recursive: true });
  for (const name of wrong) {
    const svg = wanted.get(name);
    if (svg === undefined) rmSync(join(charts, name));
    else writeFileSync(join(charts, name), svg);
    console.log(`${svg === undefined ? 'removed' : 'drew'} docs/charts/${name}`);
  }
}

function filesOf(folder: string, ending: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .toSorted();
}

function contentOf(name: string): string | undefined {
  const path = join(charts, name);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
