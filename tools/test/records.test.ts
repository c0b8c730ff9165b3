import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pageOfConstants, SCALE } from '../../bench/tools/constants/page.ts';
import { fillMarkers } from '../../bench/tools/markers.ts';
import { sectionsOf } from '../records/readme.ts';
import { ageFaults, ageText, recordAges } from '../records/records.ts';

const root = join(import.meta.dirname, '../..');
const made = { commit: '0123abcd', date: '2026-11-29' };

describe('the age of a record', () => {
  it('is in commits of the core', () => {
    expect(ageText({ name: 'fuzzer', made, age: 3 })).toBe(
      'fuzzer: 2026-11-29, 0123abcd, 3 commits of the core ago',
    );
    expect(ageText({ name: 'fuzzer', made: undefined, age: undefined })).toBe(
      'fuzzer: never recorded',
    );
  });

  it('is at most 200 for a release', () => {
    const ages = [200, 201, undefined].map((age) => ({ name: `age ${age}`, made, age }));
    expect(ageFaults(ages).map((fault) => fault.split(':')[0])).toEqual([
      'age 201',
      'age undefined',
    ]);
  });

  it('is known for each record that the pages show', () => {
    expect(recordAges(root).map(({ name }) => name)).toContain('planted faults');
  });
});

describe('the figures of the records', () => {
  // Otherwise run `pnpm record readme`.
  it('are in README.md', () => {
    const page = readFileSync(join(root, 'README.md'), 'utf8');
    expect(page).toBe(fillMarkers(page, sectionsOf(root), 'records'));
  });

  it('are in docs/scale.md', () => {
    expect(readFileSync(join(root, SCALE), 'utf8')).toBe(pageOfConstants(root));
  });
});
