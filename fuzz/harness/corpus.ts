import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Coverage, type Reading } from './coverage.ts';
import { hashOf } from './finding.ts';
import type { Target } from './target.ts';

/** The corpora of the repository. */
export const CORPUS = new URL('../corpus/', import.meta.url);

/** An input of the repository. */
export interface CorpusInput {
  /** A hash if the fuzzer found the input, else words for what the input once broke. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/**
 * Reads the corpus of a target: a line for each input, with its name and its bytes in base64.
 *
 * @param root - Folder with a file for each target.
 */
export function readCorpus(target: string, root: URL = CORPUS): CorpusInput[] {
  const file = new URL(`${target}.txt`, root);
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => {
    const [name, base64 = ''] = line.split(' ');
    return { name: name!, bytes: Uint8Array.from(Buffer.from(base64, 'base64')) };
  });
}

/** The inputs that a corpus needs. */
export interface Selection {
  readonly inputs: readonly CorpusInput[];
  readonly edges: number;
}

/**
 * Selects a corpus from the inputs of a target: its seeds, its corpus and `found`. The shortest
 * come first. An input stays if no earlier input runs one of its edges, or if V8 could not report
 * one of its edges before it. Inputs whose names are words always stay.
 *
 * V8 reports neighbouring blocks with equal counts as one block. It separates them when an input
 * runs one of them without the other. All inputs run before their edges are counted, so a selection
 * from the selected inputs keeps all of them.
 *
 * @param onInput - Receives each input before it runs.
 * @throws Error in a thread that has counted edges before: see {@link Coverage.start}. Error
 *   without any edge: the selection would be empty.
 */
export async function selectCorpus(
  target: Target,
  corpus: readonly CorpusInput[],
  found: readonly Uint8Array[],
  onInput: (input: Uint8Array) => void,
): Promise<Selection> {
  const named = corpus.filter(({ name }) => !isHash(name));
  const hashed = corpus.filter(({ name }) => isHash(name)).map(({ bytes }) => bytes);
  const unique = new Map([...target.seeds, ...hashed, ...found].map((one) => [hashOf(one), one]));
  const rest = [...unique]
    .map(([name, bytes]): CorpusInput => ({ name, bytes }))
    .toSorted((a, b) => a.bytes.length - b.bytes.length || (a.name < b.name ? -1 : 1));
  const coverage = new Coverage(target.covers);
  const readings: [CorpusInput, Reading][] = [];
  coverage.start();
  try {
    for (const input of [...named, ...rest]) {
      onInput(input.bytes);
      await target.run(input.bytes);
      readings.push([input, coverage.read()]);
    }
  } finally {
    coverage.stop();
  }
  const inputs: CorpusInput[] = [];
  for (const [input, reading] of readings) {
    const edges = reading.learned + coverage.count(reading, false);
    if (edges > 0 || !isHash(input.name)) inputs.push(input);
  }
  if (coverage.edges === 0)
    throw new Error(`${target.name} ran no edge of ${target.covers.join()}`);
  return { inputs, edges: coverage.edges };
}

/** Replaces the corpus of a target. Lines are sorted by name, so that two branches merge. */
export function writeCorpus(
  target: string,
  inputs: readonly CorpusInput[],
  root: URL = CORPUS,
): void {
  const lines = inputs.map(
    ({ name, bytes }) => `${name} ${Buffer.from(bytes).toString('base64')}\n`,
  );
  mkdirSync(root, { recursive: true });
  writeFileSync(new URL(`${target}.txt`, root), lines.toSorted().join(''));
}

function isHash(name: string): boolean {
  return /^[0-9a-f]{16}$/.test(name);
}
