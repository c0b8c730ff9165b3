// Measures one round in its own process. Arguments: the paths of the old and the new build of
// `subjects.ts`, then `old` or `new` for the build that goes first. Prints nanoseconds for a unit
// of work, by name.
import { pathToFileURL } from 'node:url';
import { timeInterleaved } from '../harness/batches.ts';
import type { Round } from './compare-commits.ts';
import type { Subjects, subjects } from './subjects.ts';

const ROUNDS = 4;
const [oldPath, newPath, first] = process.argv.slice(2);

async function load(path: string): Promise<Subjects> {
  const built = (await import(pathToFileURL(path).href)) as { subjects: typeof subjects };
  return built.subjects();
}

const [before, after] = [await load(oldPath!), await load(newPath!)];
const round: Round = {};
for (const [name, old] of before) {
  const pair = [
    ['old', old],
    ['new', after.get(name)!],
  ] as const;
  const times = timeInterleaved(new Map(first === 'new' ? pair.toReversed() : pair), ROUNDS);
  round[name] = { old: times.get('old')!.min, new: times.get('new')!.min };
}
process.stdout.write(JSON.stringify(round));
