import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { instrument } from './instrument.ts';
import type { FileFigures, TestFigures } from './messages.ts';
import type { Mutant } from './mutants.ts';
import { hashOf, readJson, writeJson } from './records.ts';
import { parse } from './source.ts';
import type { TestWorker } from './workers.ts';

/** The tests of one file that run a mutant. */
export interface CoveringFile {
  readonly path: string;
  /** Hash of its text. A record is valid while this is unchanged. */
  readonly hash: string;
  readonly tests: readonly TestFigures[];
  readonly loops: number;
}

interface Place {
  readonly region: number;
  readonly start: number;
  readonly end: number;
}

/** The tests that run each region of the code. */
export class Coverage {
  readonly #files: readonly FileFigures[];
  readonly #places: ReadonlyMap<string, readonly Place[]>;
  readonly #hashes: ReadonlyMap<string, string>;

  constructor(files: readonly FileFigures[], places: ReadonlyMap<string, readonly Place[]>) {
    this.#files = files;
    this.#places = places;
    this.#hashes = new Map(files.map(({ path }) => [path, hashOf(readFileSync(path, 'utf8'))]));
  }

  /** Tests that fail without a mutant: they judge no mutant. */
  get broken(): string[] {
    return this.#files.flatMap(({ path, tests, errors }) => [
      ...errors.map((error) => `${path}: ${error}`),
      ...tests.filter(({ passed }) => !passed).map(({ name }) => `${path}: ${name}`),
    ]);
  }

  /** The tests that run the smallest region around a mutant. */
  of(source: string, { start, end }: Mutant): CoveringFile[] {
    let place: Place | undefined;
    for (const other of this.#places.get(source) ?? []) {
      const around = other.start <= start && end <= other.end;
      if (around && (place === undefined || other.end - other.start <= place.end - place.start)) {
        place = other;
      }
    }
    if (place === undefined) return [];
    const { region } = place;
    return this.#files
      .map(({ path, loops, regions, tests }) => {
        const all = regions.includes(region);
        const running = tests.filter(
          (test) => test.passed && (all || test.regions.includes(region)),
        );
        return { path, loops, hash: this.#hashes.get(path)!, tests: running };
      })
      .filter(({ tests }) => tests.length > 0);
  }
}

/** Runs the tests on instrumented sources. Files that an earlier run measured unchanged are not run. */
export async function measure(
  worker: TestWorker,
  root: string,
  sources: readonly string[],
  tests: readonly string[],
): Promise<Coverage> {
  const places = new Map<string, Place[]>();
  const instrumented: Record<string, string> = {};
  let regions = 0;
  for (const path of sources) {
    const result = instrument(parse(path, readFileSync(join(root, path), 'utf8')), regions);
    instrumented[join(root, path)] = result.text;
    places.set(
      path,
      result.regions.map((place, i) => ({ ...place, region: regions + i })),
    );
    regions += result.regions.length;
  }
  const texts = sources.map((path) => path + readFileSync(join(root, path), 'utf8')).join('\n');
  const files: FileFigures[] = [];
  for (const test of tests) {
    const path = join(root, test);
    const hash = hashOf(texts + path + readFileSync(path, 'utf8'));
    const kept = join(root, '.out/mutation/measured', `${hash}.json`);
    let figures = readJson(kept) as FileFigures | undefined;
    if (figures === undefined) {
      figures = (await worker.measure({ kind: 'measure', sources: instrumented, test: path }))
        .figures;
      if (figures.errors.length === 0) writeJson(kept, figures);
    }
    files.push(figures);
  }
  return new Coverage(files, places);
}
