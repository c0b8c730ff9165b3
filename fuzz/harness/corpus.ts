import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Coverage } from './coverage.ts';
import { nameOf } from './finding.ts';
import type { Target } from './target.ts';

const root = new URL('../corpus/', import.meta.url);

/** An input of the repository. */
export interface Kept {
  /** Those that the fuzzer has found are called by their hash, those that broke something after what they broke. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What is kept for a target, in an order that stays. */
export function readCorpus(target: string): Kept[] {
  const folder = new URL(`${target}/`, root);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .toSorted()
    .map((name) => ({ name, bytes: Uint8Array.from(readFileSync(new URL(name, folder))) }));
}

/**
 * Keeps as few of `found`, and of what was kept before, as run the same code: short ones first, each of them for an edge
 * that those before it did not run. What has a name of its own stays.
 *
 * @param onInput - Told each input before it runs.
 * @returns How many files there are now.
 */
export async function keepCorpus(
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
      if (coverage.take(false) > 0) kept.set(nameOf(bytes), bytes);
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
