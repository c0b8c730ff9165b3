import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pageOf, type Results } from '../conformance/page.ts';

const docs = join(import.meta.dirname, '../../docs');
const results = JSON.parse(readFileSync(join(docs, 'conformance.json'), 'utf8')) as Results;

describe('docs/conformance.md', () => {
  it('has the results of docs/conformance.json', () => {
    // Otherwise run `node --import tsx tools/conformance.ts page`.
    expect(readFileSync(join(docs, 'conformance.md'), 'utf8')).toBe(pageOf(results));
  });
});
