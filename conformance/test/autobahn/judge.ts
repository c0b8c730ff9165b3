// Reads index.json files of the Autobahn suite. Exits with 1 when a case failed or was non-strict.
import { readFileSync } from 'node:fs';
import process from 'node:process';

interface Entry {
  readonly behavior: string;
  readonly behaviorClose: string;
}

const GOOD = ['OK', 'INFORMATIONAL', 'UNIMPLEMENTED'];

let bad = 0;
for (const file of process.argv.slice(2)) {
  const index: Record<string, Record<string, Entry>> = JSON.parse(readFileSync(file, 'utf8'));
  for (const [agent, cases] of Object.entries(index)) {
    const entries = Object.entries(cases);
    const found = entries.filter(
      ([, { behavior, behaviorClose }]) =>
        !GOOD.includes(behavior) || !GOOD.includes(behaviorClose),
    );
    for (const [id, { behavior, behaviorClose }] of found) {
      console.log(`${agent} ${id}: ${behavior}, closing ${behaviorClose}`);
    }
    console.log(`${agent}: ${entries.length} cases, ${found.length} not good`);
    bad += found.length + (entries.length === 0 ? 1 : 0);
  }
}
process.exitCode = bad === 0 && process.argv.length > 2 ? 0 : 1;
