// Runs in a process of its own, with the paths of two builds of `subjects.ts`: the old one and the new one. `new` behind
// them lets the new one go first. Prints nanoseconds a unit of work, by name.
import { pathToFileURL } from 'node:url';
import { timeInTurns } from '../measure.ts';
import type { Round } from './compare-commits.ts';
import type { Subjects, subjects } from './subjects.ts';

const TURNS = 4;
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
  const times = timeInTurns(new Map(first === 'new' ? pair.toReversed() : pair), TURNS);
  round[name] = { old: times.get('old')!.min, new: times.get('new')!.min };
}
process.stdout.write(JSON.stringify(round));
