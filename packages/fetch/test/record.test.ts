import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withTable } from './record.ts';

describe('docs/fetch.md', () => {
  it('has the table of docs/fetch.json', () => {
    const read = (name: string): string =>
      readFileSync(join(import.meta.dirname, '../../../docs', name), 'utf8');
    const page = read('fetch.md');
    expect(withTable(page, JSON.parse(read('fetch.json')))).toBe(page);
  });
});
