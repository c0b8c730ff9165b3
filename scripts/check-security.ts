// Compares security-map.json with the list of attacks and faults that it maps, where that lies beside the checkout.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Entry } from '../testkit/src/hostile/bounds.ts';
import { documentFaults } from './security.ts';

const list = join(process.cwd(), '../shared/SECURITY.md');
if (existsSync(list)) {
  const map = JSON.parse(readFileSync('security-map.json', 'utf8')) as Record<string, Entry>;
  const faults = documentFaults(map, readFileSync(list, 'utf8'));
  for (const fault of faults) console.error(fault);
  console.log(`security-map.json: ${Object.keys(map).length} rows, ${faults.length} faults`);
  process.exitCode = faults.length === 0 ? 0 : 1;
} else {
  console.log('security-map.json: not compared, for ../shared is not there');
}
