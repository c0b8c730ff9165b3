import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { checkSources, type Group, groups, testsOf } from './groups.ts';
import { campaign } from './harness/campaign.ts';
import { percentOf, scoresOf, table } from './harness/score.ts';
import { type Accepted, staleEntries, survivorsOf, textOf } from './harness/survivors.ts';

const usage = `usage: pnpm long mutation [group | file...] [options]

  group          ${Object.keys(groups).join(' or ')}; default: each
  file           a source file of a group, such as packages/codec/src/masking/mask.ts or mask
  --concurrency  processes that run tests, 1 to 8; default: 2 at most
  --budget       seconds for the tests of other files per mutant, the fastest first; default: 2
  --fresh        try every mutant again, ignore the records of earlier runs
  --record       write the table of a whole group to tests/mutation/results
  --help         this text

Exit code 0: every survivor has a reason and the score is 85 % or more. 1: otherwise. 2: wrong usage.`;

/** Lowest score in percent. */
const GOAL = 85;
const PROGRESS_EVERY_MS = 30_000;
const root = fileURLToPath(new URL('../..', import.meta.url));

function refuse(why: string): never {
  console.error(`${why}\n\n${usage}`);
  process.exit(2);
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        concurrency: { type: 'string', default: String(Math.min(2, availableParallelism())) },
        budget: { type: 'string', default: '2' },
        fresh: { type: 'boolean', default: false },
        record: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    return refuse((error as Error).message);
  }
}

function isNamed(path: string, file: string): boolean {
  return path === file || path.endsWith(`/${file}`) || path.endsWith(`/${file}.ts`);
}

function progress(): (path: string, done: number, all: number) => void {
  let last = performance.now();
  return (path, done, all) => {
    if (done < all && performance.now() - last < PROGRESS_EVERY_MS) return;
    last = performance.now();
    console.log(`${path}: ${done} of ${all}`);
  };
}

const { values, positionals: asked } = parse();
if (values.help) {
  console.log(usage);
  process.exit(0);
}
if (!/^[1-8]$/.test(values.concurrency)) refuse('--concurrency: 1 to 8');
if (!/^\d+$/.test(values.budget)) refuse('--budget: whole seconds');
checkSources(root);
for (const name of asked) {
  const known = Object.entries(groups).some(
    ([group, { sources }]) => group === name || sources.some((path) => isNamed(path, name)),
  );
  if (!known) refuse(`no such group or file: ${name}`);
}
for (const [name, group] of Object.entries(groups)) {
  const whole = asked.length === 0 || asked.includes(name);
  const targets = group.sources.filter(
    (path) => whole || asked.some((file) => isNamed(path, file)),
  );
  if (targets.length > 0) await run(name, group, targets);
}

async function run(name: string, group: Group, targets: readonly string[]): Promise<void> {
  const verdicts = await campaign({
    root,
    concurrency: Number(values.concurrency),
    sources: group.sources,
    targets,
    tests: testsOf(root, group),
    testTimeoutMs: group.testTimeoutMs,
    budgetMs: Number(values.budget) * 1000,
    fresh: values.fresh,
    onProgress: progress(),
    onBroken: (tests) => {
      console.log(`left out, these tests fail without a mutant:\n${tests.join('\n')}`);
    },
  });
  const lines = readFileSync(join(root, `tests/mutation/survivors/${name}.jsonl`), 'utf8');
  const accepted = lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Accepted);
  const texts = new Map(targets.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
  const survivors = survivorsOf(verdicts, texts, accepted);
  const scores = scoresOf(verdicts);
  const unexplained = survivors.filter(({ reason }) => reason === undefined);
  for (const survivor of unexplained) console.log(`\n${textOf(survivor)}`);
  for (const { file, line, change } of staleEntries(accepted, survivors, targets)) {
    console.log(`\nthe list names no survivor: ${file}  ${String(line)}  ${String(change)}`);
  }
  const explained = survivors.length - unexplained.length;
  console.log(`\n${table(scores)}\n`);
  console.log(`${explained} survivors have a reason, ${unexplained.length} are new`);
  if (unexplained.length > 0 || percentOf(scores.at(-1)!) < GOAL) process.exitCode = 1;
  if (values.record && targets.length === group.sources.length) {
    const folder = join(root, 'tests/mutation/results');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${name}.md`), `# Mutants of ${name}\n\n${table(scores)}\n`);
  }
}
