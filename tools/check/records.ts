// The figures of README.md against the records that `pnpm record` has made, and the age of each record.
// `--write` writes these parts of README.md; `--release` fails for records that are too old to publish.
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { fillMarkers } from '../../bench/tools/markers.ts';
import { sectionsOf } from '../records/readme.ts';
import { ageFaults, ageText, recordAges } from '../records/records.ts';

const PAGE = 'README.md';

const ages = recordAges('.');
if (process.argv.includes('--release')) {
  const faults = ageFaults(ages);
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length > 0 ? 1 : 0;
} else {
  for (const one of ages) console.log(ageText(one));
  const page = readFileSync(PAGE, 'utf8');
  const filled = fillMarkers(page, sectionsOf('.'), 'records');
  if (process.argv.includes('--write')) writeFileSync(PAGE, filled);
  else if (filled !== page) {
    console.error(`${PAGE} has other figures than the records: pnpm record readme`);
    process.exitCode = 1;
  }
}
