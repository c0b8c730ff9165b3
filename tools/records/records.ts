import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Made, Results } from '../conformance/page.ts';

/** A run of the test command. */
export interface TestRun {
  readonly made: Made;
  readonly passed: number;
  readonly failed: number;
  readonly seconds: number;
  /** Whether other programs ran beside it, so that the time is too long. */
  readonly busy: boolean;
}

/** Sizes of other projects. */
export interface RivalSizes {
  readonly made: Made;
  /** Bytes of the clients, minified and gzipped, by name and version: `socket.io-client 4.8.4`. */
  readonly bytes: Readonly<Record<string, number>>;
  /** Bytes of the installed files of a server. */
  readonly installed: Readonly<Record<string, number>>;
}

/** The content of docs/records.json. */
export interface Records {
  readonly tests?: TestRun;
  readonly sizes?: RivalSizes;
}

/** One record: what it is of, and when and on which commit it was made. */
export interface RecordAge {
  readonly name: string;
  /** Undefined for a record that was never made. */
  readonly made: Pick<Made, 'commit' | 'date'> | undefined;
  /** Commits of the core since then. Undefined without a record, or for a commit that this clone lacks. */
  readonly age: number | undefined;
}

/** A release needs records that are at most so many commits of the core old. */
const MAX_AGE = 200;

/** The sources that every server and client loads. */
const CORE = ['codec', 'conn', 'node-io', 'node-server', 'node-client'].map(
  (name) => `packages/${name}/src`,
);

const RESULTS = 'bench/results';
/** The versions of Node on which the benchmark is recorded. */
const NODES = ['node-20', 'node-22', 'node-24'];

/** Reads a file of JSON. */
export function readJSON(root: string, path: string): unknown {
  return JSON.parse(readFileSync(join(root, path), 'utf8'));
}

/** Every record with its age, in the order of `pnpm record`. */
export function recordAges(root: string): RecordAge[] {
  const { suite, planted, fuzz, mutation } = readJSON(root, 'docs/conformance.json') as Results;
  const { tests, sizes } = readJSON(root, 'docs/records.json') as Records;
  const scale = readJSON(root, 'docs/scale.json') as { readonly made: Made };
  const made = new Map<string, RecordAge['made']>([
    ...suite
      .filter(({ target }) => target === 'this project')
      .map((one) => [`conformance, ${one.role}, ${one.options}`, one.made] as const),
    ['planted faults', planted[0]?.made],
    ['fuzzer', fuzz[0]?.made],
    ...['codec', 'conn'].map(
      (name) => [`mutation, ${name}`, mutation.find((one) => one.package === name)?.made] as const,
    ),
    ...NODES.map((set) => [`benchmark, ${set}`, oldestOf(root, set)] as const),
    ['constants of docs/scale.md', scale.made],
    ['tests', tests?.made],
    ['sizes of others', sizes?.made],
  ]);
  return [...made].map(([name, one]) => ({
    name,
    made: one,
    age: one && commitsSince(root, one.commit),
  }));
}

/** The oldest result of a set. */
function oldestOf(root: string, set: string): RecordAge['made'] {
  const folder = join(root, RESULTS, set);
  const heads = namesIn(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => (readJSON(folder, name) as { head: { commit: string; date: string } }).head);
  const [oldest] = heads.toSorted((a, b) => a.date.localeCompare(b.date));
  return (
    oldest && { commit: oldest.commit.replace('+changes', ''), date: oldest.date.slice(0, 10) }
  );
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function commitsSince(root: string, commit: string): number | undefined {
  try {
    const args = ['rev-list', '--count', `${commit}..HEAD`, '--', ...CORE];
    return Number(execFileSync('git', args, { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] }));
  } catch {
    return undefined;
  }
}

/** One line for `pnpm check docs`. */
export function ageText({ name, made, age }: RecordAge): string {
  if (made === undefined) return `${name}: never recorded`;
  const old =
    age === undefined ? 'a commit that this clone lacks' : `${age} commits of the core ago`;
  return `${name}: ${made.date}, ${made.commit}, ${old}`;
}

/** Why these records are too old for a release. */
export function ageFaults(ages: readonly RecordAge[]): string[] {
  return ages
    .filter(({ age }) => age === undefined || age > MAX_AGE)
    .map((one) => `${ageText(one)}; a release needs at most ${MAX_AGE}: pnpm record`);
}
