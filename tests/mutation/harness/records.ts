import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Tried } from './messages.ts';
import type { Mutant } from './mutants.ts';

/** The outcome of a mutant; valid while the test files are unchanged. */
export interface Record {
  readonly outcome: Tried['outcome'];
  readonly killer?: string;
  /** Stamp of each test file that decided, by path. */
  readonly tests: Readonly<{ [path: string]: string }>;
}

/** The records of one source file, kept between runs. */
export class Records {
  readonly #path: string;
  readonly #source: string;
  readonly #records: Map<string, Record>;

  constructor(path: string, source: string, fresh: boolean) {
    this.#path = path;
    this.#source = hashOf(source);
    const kept = readJson(path) as { source: string; records: [string, Record][] } | undefined;
    const usable = kept !== undefined && kept.source === this.#source && !fresh;
    this.#records = new Map(usable ? kept.records : []);
  }

  get(mutant: Mutant): Record | undefined {
    return this.#records.get(keyOf(mutant));
  }

  set(mutant: Mutant, record: Record): void {
    this.#records.set(keyOf(mutant), record);
  }

  save(): void {
    writeJson(this.#path, { source: this.#source, records: [...this.#records] });
  }
}

function keyOf({ kind, start, end, replacement }: Mutant): string {
  return `${kind} ${start} ${end} ${replacement}`;
}

export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Undefined for a missing or unreadable file. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

export function writeJson(path: string, value: unknown): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(value)}\n`);
}
