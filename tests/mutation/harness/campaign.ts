import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Coverage, type CoveringFile, measure } from './coverage.ts';
import { Slot } from './crew.ts';
import { plantMeters } from './meters.ts';
import { type Mutant, mutantsOf } from './mutants.ts';
import type { Tried } from './orders.ts';
import { type Record, Records } from './records.ts';
import { applied, parse } from './source.ts';

export interface CampaignOptions {
  readonly root: string;
  readonly concurrency: number;
  /** All that the group measures: tests are chosen by what they run of these. */
  readonly sources: readonly string[];
  /** Of those, the files whose mutants are tried. */
  readonly targets: readonly string[];
  readonly tests: readonly string[];
  /** How long a test may wait for what never comes. */
  readonly testTimeoutMs: number;
  /** How long the tests of other files may take for one mutant, without it: the quick ones come first. */
  readonly budgetMs: number;
  /** Whether records of earlier runs are left alone. */
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

/** A file's tests may take so many turns of loops for each that they take without a mutant, and some more. */
const TURNS_FACTOR = 20;
const TURNS_EXTRA = 20_000;
/** A mutant may take so much longer than its tests do, and some more. */
const TIME_FACTOR = 20;
const TIME_EXTRA_MS = 30_000;
/** In so many files tests may wait in vain before the rest is left. */
const WAITS = 4;
/** A test that takes no longer is quick. */
const QUICK_MS = 50;

/** Tries every mutant of the targets, in order. */
export async function campaign(options: CampaignOptions): Promise<Verdict[]> {
  const { root, concurrency, sources, targets, tests, testTimeoutMs, onBroken } = options;
  const slots = Array.from({ length: concurrency }, () => new Slot(testTimeoutMs));
  try {
    const coverage = await measure(slots[0]!, root, sources, tests);
    if (coverage.broken.length > 0) onBroken(coverage.broken);
    const verdicts: Verdict[] = [];
    for (const target of targets) {
      verdicts.push(...(await tryAll(target, options, slots, coverage)));
    }
    return verdicts;
  } finally {
    for (const slot of slots) slot.end();
  }
}

async function tryAll(
  path: string,
  { root, fresh, budgetMs, onProgress }: CampaignOptions,
  slots: readonly Slot[],
  coverage: Coverage,
): Promise<Verdict[]> {
  const text = readFileSync(join(root, path), 'utf8');
  const mutants = mutantsOf(parse(path, text));
  const file = join(root, '.out/mutation', `${path.replaceAll('/', '-')}.json`);
  const records = new Records(file, text, fresh);
  const verdicts: Verdict[] = [];
  /** How many mutants the tests of each path have killed: the next mutant meets the best first. */
  const kills = new Map<string, number>();
  let next = 0;
  let done = 0;

  async function work(slot: Slot): Promise<void> {
    while (next < mutants.length) {
      const index = next++;
      const mutant = mutants[index]!;
      const files = chosen(path, coverage.of(path, mutant), budgetMs, kills);
      if (files.length === 0) verdicts[index] = { path, mutant, outcome: 'no coverage' };
      else {
        const record = await tryOne(slot, join(root, path), text, mutant, files, records);
        const { outcome, killer } = record;
        const [judge] = Object.keys(record.tests);
        if (outcome === 'killed') kills.set(judge!, (kills.get(judge!) ?? 0) + 1);
        verdicts[index] = { path, mutant, outcome, ...(killer === undefined ? {} : { killer }) };
      }
      onProgress(path, ++done, mutants.length);
      if (done % 20 === 0) records.save();
    }
  }

  await Promise.all(slots.map(work));
  records.save();
  return verdicts;
}

/** The tests of the file's own name first, and then what is quick, as far as the budget goes: those that killed most first. */
function chosen(
  path: string,
  files: readonly CoveringFile[],
  budgetMs: number,
  kills: ReadonlyMap<string, number>,
): CoveringFile[] {
  const own = basename(path, '.ts');
  const isOwn = (file: CoveringFile): boolean => basename(file.path, '.test.ts') === own;
  let left = budgetMs;
  const quick = files
    .filter((file) => !isOwn(file))
    .flatMap(({ tests }) => tests)
    .toSorted((a, b) => a.ms - b.ms)
    .filter(({ ms }) => (left -= ms) >= 0);
  const others = files
    .filter((file) => !isOwn(file))
    .map((file) => ({ ...file, tests: file.tests.filter((test) => quick.includes(test)) }))
    .filter(({ tests }) => tests.length > 0)
    .toSorted((a, b) => timeOf(a) - timeOf(b))
    .toSorted((a, b) => (kills.get(b.path) ?? 0) - (kills.get(a.path) ?? 0));
  return [...files.filter(isOwn), ...others];
}

/** What a mutant meets first. */
function quickOf(file: CoveringFile): CoveringFile {
  return { ...file, tests: file.tests.filter(({ ms }) => ms <= QUICK_MS) };
}

function slowOf(file: CoveringFile): CoveringFile {
  return { ...file, tests: file.tests.filter(({ ms }) => ms > QUICK_MS) };
}

function timeOf({ tests }: CoveringFile): number {
  return tests.reduce((sum, { ms }) => sum + ms, 0);
}

async function tryOne(
  slot: Slot,
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
  // What let it live before would do so again; a time-out may have hidden the rest.
  const changed = files.filter((file) => !isAsBefore(file.path));
  if (known !== undefined && known.outcome !== 'killed' && changed.length === 0) return known;
  const asked = known?.outcome === 'survived' ? changed : files;

  const planted = plantMeters(parse(path, applied(text, mutant))).text;
  let tried: Tried = { kind: 'tried', outcome: 'survived' };
  let last: CoveringFile | undefined;
  /** Where tests waited in vain: the next file may have one that says what is wrong. */
  const waits: Tried[] = [];
  for (const file of [...asked.map(quickOf), ...asked.map(slowOf)]) {
    if (file.tests.length === 0) continue;
    last = file;
    tried = await slot.try(
      {
        kind: 'try',
        path,
        text: planted,
        test: file.path,
        ids: file.tests.map(({ id }) => id),
        limit: file.turns * TURNS_FACTOR + TURNS_EXTRA,
      },
      timeOf(file) * TIME_FACTOR + TIME_EXTRA_MS,
    );
    if (tried.outcome === 'survived') continue;
    if (tried.waited !== true || waits.push(tried) === WAITS) break;
  }
  if (tried.outcome === 'survived' && waits.length > 0) [tried] = waits as [Tried];
  const { outcome, killer } = tried;
  const judges = outcome === 'killed' ? [last!] : files;
  const record: Record = {
    outcome,
    ...(killer === undefined ? {} : { killer }),
    tests: Object.fromEntries(judges.map((file) => [file.path, stamps.get(file.path)!])),
  };
  records.set(mutant, record);
  return record;
}
