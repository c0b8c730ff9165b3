// `pnpm check api`: the public surface of each package, in api/<package>.md. It fails when a page differs from
// the declarations that `tsc -b` has written. With `--write` it writes the pages.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import process from 'node:process';
import { publishedPackages } from '../published.ts';
import { pagesOf } from './api-page.ts';

const FOLDER = 'api';

const pages = pagesOf(publishedPackages());
const old = existsSync(FOLDER) ? readdirSync(FOLDER) : [];
const names = [...new Set([...old, ...pages.keys()])].toSorted();
const differing = names.filter((name) => {
  const file = `${FOLDER}/${name}`;
  return !existsSync(file) || readFileSync(file, 'utf8') !== pages.get(name);
});
if (process.argv.includes('--write')) {
  mkdirSync(FOLDER, { recursive: true });
  for (const name of differing) {
    const page = pages.get(name);
    if (page === undefined) rmSync(`${FOLDER}/${name}`);
    else writeFileSync(`${FOLDER}/${name}`, page);
    console.log(`wrote ${FOLDER}/${name}`);
  }
} else if (differing.length > 0) {
  for (const name of differing) {
    console.error(`${FOLDER}/${name}: the surface of ${basename(name, '.md')} has changed`);
    printDifference(`${FOLDER}/${name}`, pages.get(name) ?? '');
  }
  console.error('if that is meant, run pnpm api, commit the pages and add a line to CHANGELOG.md');
  process.exitCode = 1;
}

/** Prints the lines that only one of the two has. */
function printDifference(file: string, page: string): void {
  const [before, after] = [existsSync(file) ? readFileSync(file, 'utf8') : '', page].map(
    (text) => new Set(text.split('\n')),
  ) as [Set<string>, Set<string>];
  for (const line of before) if (!after.has(line)) console.error(`- ${line}`);
  for (const line of after) if (!before.has(line)) console.error(`+ ${line}`);
}
