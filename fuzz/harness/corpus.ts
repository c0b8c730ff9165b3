import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Coverage } from './coverage.ts';
import { hashOf } from './finding.ts';
import type { Target } from './target.ts';

const root = new URL('../corpus/', import.meta.url);

/** An input in a file of the repository. */
export interface CorpusInput {
  /** File name: a hash if the fuzzer found the input, else words for what the input once broke. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Reads the corpus of a target, sorted by name. */
export function readCorpus(target: string): CorpusInput[] {
  const folder = new URL(`${target}/`, root);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .toSorted()
    .map((name) => ({ name, bytes: Uint8Array.from(readFileSync(new URL(name, folder))) }));
}

/**
 * Merges `found` into the corpus of a target. Of all inputs, the shortest come first, and an input
 * stays if it runs an edge that no earlier input ran. Inputs named in words always stay.
 *
 * @param onInput - Receives each input before it runs.
 * @returns Number of files in the corpus.
 */
export async function mergeCorpus(
  target: Target,
  found: readonly Uint8Array[],
  onInput: (input: Uint8Array) => void,
): Promise<number> {
  const before = readCorpus(target.name);
  const named = before.filter(({ name }) => !isHash(name));
  const hashed = before.filter(({ name }) => isHash(name)).map(({ bytes }) => bytes);
  const rest = [...target.seeds, ...hashed, ...found].toSorted((a, b) => a.length - b.length);
  const coverage = new Coverage(target.covers);
  coverage.start();
  const kept = new Map<string, Uint8Array>();
  try {
    for (const { bytes } of named) await target.run(bytes);
    coverage.take(false);
    for (const bytes of rest) {
      onInput(bytes);
      await target.run(bytes);
      if (coverage.take(false) > 0) kept.set(hashOf(bytes), bytes);
    }
  } finally {
    coverage.stop();
  }
  const folder = new URL(`${target.name}/`, root);
  mkdirSync(folder, { recursive: true });
  for (const { name } of before) if (isHash(name) && !kept.has(name)) rmSync(new URL(name, folder));
  for (const [name, bytes] of kept) writeFileSync(new URL(name, folder), bytes);
  return kept.size + named.length;
}

function isHash(name: string): boolean {
  return /^[0-9a-f]{16}$/.test(name);
}
