import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Slot } from './crew.ts';
import { plantMeters } from './meters.ts';
import type { Mutant } from './mutants.ts';
import type { FileFigures, TestFigures } from './orders.ts';
import { hashOf, readJson, writeJson } from './records.ts';
import { parse } from './source.ts';

/** The tests of one file that run a mutant. */
export interface CoveringFile {
  readonly path: string;
  /** What it says now: a record of it is true as long as this is the same. */
  readonly hash: string;
  readonly tests: readonly TestFigures[];
  readonly turns: number;
}

interface Place {
  readonly region: number;
  readonly start: number;
  readonly end: number;
}

/** Which tests run which code. */
export class Coverage {
  readonly #files: readonly FileFigures[];
  readonly #places: ReadonlyMap<string, readonly Place[]>;
  readonly #hashes: ReadonlyMap<string, string>;

  constructor(files: readonly FileFigures[], places: ReadonlyMap<string, readonly Place[]>) {
    this.#files = files;
    this.#places = places;
    this.#hashes = new Map(files.map(({ path }) => [path, hashOf(readFileSync(path, 'utf8'))]));
  }

  /** Tests that fail before anything is mutated: they say nothing about a mutant. */
  get broken(): string[] {
    return this.#files.flatMap(({ path, tests, errors }) => [
      ...errors.map((error) => `${path}: ${error}`),
      ...tests.filter(({ passed }) => !passed).map(({ name }) => `${path}: ${name}`),
    ]);
  }

  /** The tests that run the smallest measured piece around a mutant. */
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
      .map(({ path, turns, regions, tests }) => {
        const all = regions.includes(region);
        const running = tests.filter(
          (test) => test.passed && (all || test.regions.includes(region)),
        );
        return { path, turns, hash: this.#hashes.get(path)!, tests: running };
      })
      .filter(({ tests }) => tests.length > 0);
  }
}

/** Runs all tests on metered sources, but for those that an earlier run has measured as they are. Paths from `root`. */
export async function measure(
  slot: Slot,
  root: string,
  sources: readonly string[],
  tests: readonly string[],
): Promise<Coverage> {
  const places = new Map<string, Place[]>();
  const metered: Record<string, string> = {};
  let regions = 0;
  for (const path of sources) {
    const planted = plantMeters(parse(path, readFileSync(join(root, path), 'utf8')), regions);
    metered[join(root, path)] = planted.text;
    places.set(
      path,
      planted.regions.map((place, i) => ({ ...place, region: regions + i })),
    );
    regions += planted.regions.length;
  }
  const texts = sources.map((path) => path + readFileSync(join(root, path), 'utf8')).join('\n');
  const files: FileFigures[] = [];
  for (const test of tests) {
    const path = join(root, test);
    const hash = hashOf(texts + path + readFileSync(path, 'utf8'));
    const kept = join(root, '.out/mutation/measured', `${hash}.json`);
    let figures = readJson(kept) as FileFigures | undefined;
    if (figures === undefined) {
      figures = (await slot.measure({ kind: 'measure', sources: metered, test: path })).figures;
      writeJson(kept, figures);
    }
    files.push(figures);
  }
  return new Coverage(files, places);
}
