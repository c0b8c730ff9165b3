import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Coverage, type CoveringFile, measure } from './coverage.ts';
import { instrument } from './instrument.ts';
import type { Tried } from './messages.ts';
import { type Mutant, mutantsOf } from './mutants.ts';
import { type Record, Records } from './records.ts';
import { applied, parse } from './source.ts';
import { TestWorker } from './workers.ts';

export interface CampaignOptions {
  readonly root: string;
  readonly concurrency: number;
  /** Sources of the group: coverage of these chooses the tests. */
  readonly sources: readonly string[];
  /** The sources whose mutants are tried. */
  readonly targets: readonly string[];
  readonly tests: readonly string[];
  /** Timeout of one test. */
  readonly testTimeoutMs: number;
  /** Time without a mutant that the tests of other files may add per mutant; the fastest run first. */
  readonly budgetMs: number;
  /** Ignores the records of earlier runs. */
  readonly fresh: boolean;
  readonly onProgress: (path: string, done: number, all: number) => void;
  readonly onBroken: (tests: readonly string[]) => void;
}

export interface Verdict {
  readonly path: string;
  readonly mutant: Mutant;
  readonly outcome: Record['outcome'] | 'no coverage';
  readonly killer?: string;
}

/** Loop iterations allowed for a mutant: `count without a mutant * FACTOR + EXTRA`. Time alike. */
const LOOPS_FACTOR = 20;
const LOOPS_EXTRA = 20_000;
const TIME_FACTOR = 20;
const TIME_EXTRA_MS = 30_000;
/** The mutant times out after tests of this many files wait in vain. */
const WAITS = 4;
const FAST_MS = 50;

/** Tries every mutant of the targets, in order. */
export async function campaign(options: CampaignOptions): Promise<Verdict[]> {
  const { root, concurrency, sources, targets, tests, testTimeoutMs, onBroken } = options;
  const workers = Array.from({ length: concurrency }, () => new TestWorker(testTimeoutMs));
  try {
    const coverage = await measure(workers[0]!, root, sources, tests);
    if (coverage.broken.length > 0) onBroken(coverage.broken);
    const verdicts: Verdict[] = [];
    for (const target of targets) {
      verdicts.push(...(await tryAll(target, options, workers, coverage)));
    }
    return verdicts;
  } finally {
    for (const worker of workers) worker.end();
  }
}

async function tryAll(
  path: string,
  { root, fresh, budgetMs, onProgress }: CampaignOptions,
  workers: readonly TestWorker[],
  coverage: Coverage,
): Promise<Verdict[]> {
  const text = readFileSync(join(root, path), 'utf8');
  const mutants = mutantsOf(parse(path, text));
  const file = join(root, '.out/mutation', `${path.replaceAll('/', '-')}.json`);
  const records = new Records(file, text, fresh);
  const verdicts: Verdict[] = [];
  /** Mutants killed per test file: the best test file runs first. */
  const kills = new Map<string, number>();
  let next = 0;
  let done = 0;

  async function work(worker: TestWorker): Promise<void> {
    while (next < mutants.length) {
      const index = next++;
      const mutant = mutants[index]!;
      const files = chosen(path, coverage.of(path, mutant), budgetMs, kills);
      if (files.length === 0) verdicts[index] = { path, mutant, outcome: 'no coverage' };
      else {
        const record = await tryOne(worker, join(root, path), text, mutant, files, records);
        const { outcome, killer } = record;
        const [test] = Object.keys(record.tests);
        if (outcome === 'killed') kills.set(test!, (kills.get(test!) ?? 0) + 1);
        verdicts[index] = { path, mutant, outcome, ...(killer === undefined ? {} : { killer }) };
      }
      onProgress(path, ++done, mutants.length);
      if (done % 20 === 0) records.save();
    }
  }

  await Promise.all(workers.map(work));
  records.save();
  return verdicts;
}

/** Tests named after the source first, then fast tests within the budget, most kills first. */
function chosen(
  path: string,
  files: readonly CoveringFile[],
  budgetMs: number,
  kills: ReadonlyMap<string, number>,
): CoveringFile[] {
  const own = basename(path, '.ts');
  const isOwn = (file: CoveringFile): boolean => basename(file.path, '.test.ts') === own;
  let left = budgetMs;
  const fast = files
    .filter((file) => !isOwn(file))
    .flatMap(({ tests }) => tests)
    .toSorted((a, b) => a.ms - b.ms)
    .filter(({ ms }) => (left -= ms) >= 0);
  const others = files
    .filter((file) => !isOwn(file))
    .map((file) => ({ ...file, tests: file.tests.filter((test) => fast.includes(test)) }))
    .filter(({ tests }) => tests.length > 0)
    .toSorted((a, b) => timeOf(a) - timeOf(b))
    .toSorted((a, b) => (kills.get(b.path) ?? 0) - (kills.get(a.path) ?? 0));
  return [...files.filter(isOwn), ...others];
}

function fastOf(file: CoveringFile): CoveringFile {
  return { ...file, tests: file.tests.filter(({ ms }) => ms <= FAST_MS) };
}

function slowOf(file: CoveringFile): CoveringFile {
  return { ...file, tests: file.tests.filter(({ ms }) => ms > FAST_MS) };
}

function timeOf({ tests }: CoveringFile): number {
  return tests.reduce((sum, { ms }) => sum + ms, 0);
}

async function tryOne(
  worker: TestWorker,
  path: string,
  text: string,
  mutant: Mutant,
  files: readonly CoveringFile[],
  records: Records,
): Promise<Record> {
  const stamps = new Map(files.map((file) => [file.path, `${file.hash} ${file.tests.length}`]));
  const known = records.get(mutant);
  const isAsBefore = (file: string): boolean => known?.tests[file] === stamps.get(file);
  if (known?.outcome === 'killed' && Object.keys(known.tests).every(isAsBefore)) return known;
  // Unchanged tests give the same result. After a timeout, all tests run again.
  const changed = files.filter((file) => !isAsBefore(file.path));
  if (known !== undefined && known.outcome !== 'killed' && changed.length === 0) return known;
  const asked = known?.outcome === 'survived' ? changed : files;

  const mutated = instrument(parse(path, applied(text, mutant))).text;
  let tried: Tried = { kind: 'tried', outcome: 'survived' };
  let last: CoveringFile | undefined;
  /** Timeouts by waiting tests: a later file may contain a test that fails. */
  const waits: Tried[] = [];
  for (const file of [...asked.map(fastOf), ...asked.map(slowOf)]) {
    if (file.tests.length === 0) continue;
    last = file;
    tried = await worker.try(
      {
        kind: 'try',
        path,
        text: mutated,
        test: file.path,
        ids: file.tests.map(({ id }) => id),
        limit: file.loops * LOOPS_FACTOR + LOOPS_EXTRA,
      },
      timeOf(file) * TIME_FACTOR + TIME_EXTRA_MS,
    );
    if (tried.outcome === 'survived') continue;
    if (tried.waited !== true || waits.push(tried) === WAITS) break;
  }
  if (tried.outcome === 'survived' && waits.length > 0) [tried] = waits as [Tried];
  const { outcome, killer } = tried;
  const decisive = outcome === 'killed' ? [last!] : files;
  const record: Record = {
    outcome,
    ...(killer === undefined ? {} : { killer }),
    tests: Object.fromEntries(decisive.map((file) => [file.path, stamps.get(file.path)!])),
  };
  records.set(mutant, record);
  return record;
}
