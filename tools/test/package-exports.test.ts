import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Tried, withTable } from '../check/runtimes-table.ts';
import { dualPackages, type Manifest, withExports } from '../exports.ts';

const root = join(import.meta.dirname, '../..');

describe('package.json', () => {
  it.each(dualPackages(root))('has the conditions of ES modules and CommonJS: %s', (path) => {
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
    // Otherwise run `node --import tsx tools/exports.ts`.
    expect(JSON.stringify(manifest)).toBe(JSON.stringify(withExports(manifest)));
  });
});

describe('docs/runtimes.md', () => {
  it('has the table of docs/runtimes.json', () => {
    const page = readFileSync(join(root, 'docs/runtimes.md'), 'utf8');
    const results = JSON.parse(readFileSync(join(root, 'docs/runtimes.json'), 'utf8')) as Tried[];
    expect(results.length).toBeGreaterThan(0);
    expect(page).toBe(withTable(page, results));
  });
});
