import { readFileSync } from 'node:fs';
import { posix } from 'node:path';

/** The files that a file imports, also for their types alone. */
const IMPORT = /(?:from |import\()'(\.[^']+)'/g;

/**
 * The files of all circles of imports, one array for each circle: its files reach each other, so they
 * can only be read together.
 *
 * @param files - Paths within `folder`.
 */
export function circlesOf(folder: string, files: readonly string[]): string[][] {
  const imports = new Map(files.map((file) => [file, importsOf(folder, file)]));
  const reached = new Map(files.map((file) => [file, reachedFrom(file, imports)]));
  const circles: string[][] = [];
  for (const file of files) {
    if (!reached.get(file)!.has(file) || circles.some((circle) => circle.includes(file))) continue;
    const from = reached.get(file)!;
    circles.push(files.filter((other) => from.has(other) && reached.get(other)!.has(file)));
  }
  return circles;
}

function importsOf(folder: string, file: string): string[] {
  const text = readFileSync(`${folder}/${file}`, 'utf8');
  return Array.from(text.matchAll(IMPORT), ([, path]) => posix.join(posix.dirname(file), path!));
}

function reachedFrom(file: string, imports: ReadonlyMap<string, readonly string[]>): Set<string> {
  const reached = new Set(imports.get(file));
  for (const each of reached) for (const next of imports.get(each) ?? []) reached.add(next);
  return reached;
}
