// Compares semantics-map.json with the documents that it maps, where they lie beside the checkout.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { designItems, documentFaults, type Entry, semanticsItems } from './semantics.ts';

const shared = join(process.cwd(), '../shared');
if (existsSync(shared)) {
  const read = (name: string): string => readFileSync(join(shared, name), 'utf8');
  const items = [...semanticsItems(read('SEMANTICS.md')), ...designItems(read('DESIGN.md'))];
  const map = JSON.parse(readFileSync('semantics-map.json', 'utf8')) as Record<string, Entry>;
  const faults = documentFaults(map, new Map(items));
  for (const fault of faults) console.error(fault);
  console.log(`semantics-map.json: ${items.length} bullets and rows, ${faults.length} faults`);
  process.exitCode = faults.length === 0 ? 0 : 1;
} else {
  console.log('semantics-map.json: not compared, for ../shared is not there');
}
