import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Group, groups } from './groups.ts';
import { campaign } from './harness/campaign.ts';
import { page, percentOf, scoresOf, table, told } from './harness/report.ts';
import { type Accepted, outlived, survivorsOf } from './harness/survivors.ts';

const usage = `usage: pnpm mutation [group | file...] [--concurrency <n>] [--budget <s>] [--fresh] [--record]

  group          ${Object.keys(groups).join(' or ')}; default: each
  file           a source file of a group, such as packages/codec/src/mask.ts or mask
  --concurrency  processes that run tests, 1 to 8; default: 2 at most
  --budget       seconds that the tests of other files may take for one mutant, the quick ones first; default: 2
  --fresh        try every mutant again, whatever earlier runs have said
  --record       write the table and the survivors of a whole group to mutation/results
  --help         this text

It ends with 0 when every survivor is on the list of its group with a reason and the score is 85 % or more, with 1
when not, with 2 when it was called wrongly.`;

/** Of a hundred. */
const GOAL = 85;
const root = fileURLToPath(new URL('..', import.meta.url));

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

/** The files of a group whose mutants are asked for: all when it is named, or when nothing is. */
function targetsOf(name: string, { sources }: Group, asked: readonly string[]): readonly string[] {
  if (asked.length === 0 || asked.includes(name)) return sources;
  return sources.filter((path) => asked.some((file) => isNamed(path, file)));
}

function isNamed(path: string, file: string): boolean {
  return path === file || path.endsWith(`/${file}`) || path.endsWith(`/${file}.ts`);
}

function testsOf({ tests, without }: Group): string[] {
  return tests
    .flatMap((path) => {
      if (path.endsWith('.ts')) return [path];
      const names = readdirSync(join(root, path), { recursive: true, encoding: 'utf8' });
      return names.filter((file) => file.endsWith('.test.ts')).map((file) => `${path}/${file}`);
    })
    .filter((path) => !without.includes(path))
    .toSorted();
}

function listOf(name: string): Accepted[] {
  return JSON.parse(readFileSync(join(root, 'mutation/survivors', `${name}.json`), 'utf8'));
}

/** Says how far it is, every half minute. */
function progress(): (path: string, done: number, all: number) => void {
  let last = performance.now();
  return (path, done, all) => {
    if (done < all && performance.now() - last < 30_000) return;
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
for (const name of asked) {
  const known = Object.entries(groups).some(
    ([group, { sources }]) => group === name || sources.some((path) => isNamed(path, name)),
  );
  if (!known) refuse(`no such group or file: ${name}`);
}

for (const [name, group] of Object.entries(groups)) {
  const targets = targetsOf(name, group, asked);
  if (targets.length === 0) continue;
  const verdicts = await campaign({
    root,
    concurrency: Number(values.concurrency),
    sources: group.sources,
    targets,
    tests: testsOf(group),
    testTimeoutMs: group.testTimeoutMs,
    budgetMs: Number(values.budget) * 1000,
    fresh: values.fresh,
    onProgress: progress(),
    onBroken: (tests) => {
      console.log(`these fail without a mutant, and are left out:\n${tests.join('\n')}`);
    },
  });
  const texts = new Map(targets.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
  const accepted = listOf(name);
  const survivors = survivorsOf(verdicts, texts, accepted);
  const scores = scoresOf(verdicts);
  const fresh = survivors.filter(({ reason }) => reason === undefined);
  for (const survivor of fresh) console.log(`\n${told(survivor)}`);
  for (const { file, line, change } of outlived(accepted, survivors, targets)) {
    console.log(`\non the list, and lives no more: ${file}  ${String(line)}  ${String(change)}`);
  }
  console.log(`\n${table(scores)}\n`);
  console.log(
    `${survivors.length - fresh.length} survivors have a reason, ${fresh.length} are new`,
  );
  if (fresh.length > 0 || percentOf(scores.at(-1)!) < GOAL) process.exitCode = 1;
  if (values.record && targets === group.sources) {
    const folder = join(root, 'mutation/results');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${name}.md`), page(name, scores, survivors));
  }
}
