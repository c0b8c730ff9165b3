// The figures of README.md and docs/scale.md against the records that `pnpm record` has made, and the age of each record.
// `--write` writes these parts of the pages; `--release` fails for records that are too old to publish.
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { pageOfConstants, SCALE } from '../../bench/tools/constants/page.ts';
import { fillMarkers } from '../../bench/tools/markers.ts';
import { sectionsOf } from '../records/readme.ts';
import { ageFaults, ageText, recordAges } from '../records/records.ts';

const README = 'README.md';

const ages = recordAges('.');
if (process.argv.includes('--release')) {
  const faults = ageFaults(ages);
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length > 0 ? 1 : 0;
} else {
  for (const one of ages) console.log(ageText(one));
  const pages = new Map([
    [README, fillMarkers(readFileSync(README, 'utf8'), sectionsOf('.'), 'records')],
    [SCALE, pageOfConstants('.')],
  ]);
  for (const [page, filled] of pages) {
    if (process.argv.includes('--write')) writeFileSync(page, filled);
    else if (filled !== readFileSync(page, 'utf8')) {
      console.error(`${page} has other figures than the records: pnpm record readme`);
      process.exitCode = 1;
    }
  }
}
