import { readFileSync } from 'node:fs';
import { posix } from 'node:path';

/** The files that a file imports, also for their types alone. */
const IMPORT = /(?:from |import\()'(\.[^']+)'/g;

/**
 * The number of files in the largest circle of imports: each reaches all others. 0 without a circle.
 *
 * @param files - Paths within `folder`.
 */
export function largestCircle(folder: string, files: readonly string[]): number {
  const imports = new Map(files.map((file) => [file, importsOf(folder, file)]));
  const reached = new Map(files.map((file) => [file, reachedFrom(file, imports)]));
  const sizes = files.map(
    (file) =>
      files.filter((other) => reached.get(file)!.has(other) && reached.get(other)!.has(file))
        .length,
  );
  return Math.max(...sizes);
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
