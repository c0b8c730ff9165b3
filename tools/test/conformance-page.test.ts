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

  it('has both roles of this project and of ws, and every target of the fuzzer', () => {
    const asked = results.suite.map(({ target, role }) => `${target.split(' ')[0]} ${role}`);
    expect(asked).toEqual(['this server', 'this server', 'this client', 'ws server', 'ws client']);
    expect(results.suite[1]!.options).toMatch(/^HTTP\/2/);
    expect(results.fuzz.length).toBeGreaterThan(0);
  });
});

describe('pageOf', () => {
  it('computes the score of mutants', () => {
    const made = { date: '2026-11-20', commit: 'abc', node: '24.0.0' };
    const run = { package: 'codec', files: ['a.ts'], made };
    const mutation = [{ ...run, killed: 8, timeout: 1, survived: 1, uncovered: 0 }];
    const page = pageOf({ suite: [], planted: [], mutation, fuzz: [] });
    expect(page).toContain(
      '| codec | `a.ts` | 10 | 9 | 1 | 0 | 90.0 % | 2026-11-20, abc, Node 24.0.0 |',
    );
    expect(pageOf({ suite: [], planted: [], mutation: [], fuzz: [] })).toContain(
      'No run is recorded.',
    );
  });
});
