import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fillMarkers } from '../markers.ts';
import { type Measurement, sectionsOf } from './model.ts';

/** The measured constants, and the page that shows them and what follows from them. */
export const MEASUREMENT = 'docs/scale.json';
export const SCALE = 'docs/scale.md';

/** The page with the tables of the measurement. */
export function pageOfConstants(root: string): string {
  const measurement = JSON.parse(readFileSync(join(root, MEASUREMENT), 'utf8')) as Measurement;
  return fillMarkers(readFileSync(join(root, SCALE), 'utf8'), sectionsOf(measurement), 'records');
}
