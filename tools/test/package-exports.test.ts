import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sorted, type Tried, withTable } from '../check/runtimes-table.ts';
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

describe('sorted', () => {
  it('puts Node first, and versions in the order of numbers', () => {
    const tried = (runtime: string): Tried => ({ runtime, system: 'linux x64', parts: {} });
    const names = ['bun 1.4.4', 'node 9.1.0', 'deno 2.9.6', 'node 26.0.0', 'node 20.19.0'];
    expect(sorted(names.map(tried)).map(({ runtime }) => runtime)).toEqual([
      'node 9.1.0',
      'node 20.19.0',
      'node 26.0.0',
      'bun 1.4.4',
      'deno 2.9.6',
    ]);
  });
});
