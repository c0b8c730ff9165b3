// What must be right before anything is published, and cannot be taken back afterwards.
import { readdirSync, readFileSync } from 'node:fs';
import { type Manifest, releaseFaults } from './release.ts';

const faults = readdirSync('packages').flatMap((name) => {
  const directory = `packages/${name}`;
  const manifest = JSON.parse(readFileSync(`${directory}/package.json`, 'utf8')) as Manifest;
  return releaseFaults(manifest, directory);
});
for (const fault of faults) console.error(fault);
console.log(`release: ${faults.length === 0 ? 'nothing is missing' : `${faults.length} faults`}`);
process.exitCode = faults.length === 0 ? 0 : 1;
