import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Assertion, Entry } from '../../testkit/src/hostile/bounds.ts';
import { documentFaults, quantities, type Sources, securityFaults } from '../security.ts';
import { readTestFile } from '../semantics.ts';

const root = join(import.meta.dirname, '../..');
const map = JSON.parse(readFileSync(join(root, 'security-map.json'), 'utf8')) as Record<
  string,
  Entry
>;

const files: Sources = {
  titles: (path) => (existsSync(join(root, path)) ? readTestFile(join(root, path)) : undefined),
  text: (path) => readFileSync(join(root, path), 'utf8'),
};

describe('security-map.json', () => {
  it('names for every row tests that exist, with bounds no looser than its own', () => {
    expect(securityFaults(map, files)).toEqual([]);
  });

  it('agrees with the list of attacks, where that is there', () => {
    const args = ['--import', 'tsx', 'scripts/check-security.ts'];
    const said = execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    console.log(said.trim());
    expect(said).toMatch(/ 0 faults|not compared/);
  });
});

describe('the check of the map', () => {
  const sources: Sources = {
    titles: (path) =>
      path === 'x' ? { titles: new Set(['a / b']), strings: new Set(['row']) } : undefined,
    text: () => 'await survives(54, attack)',
  };
  const holder = { test: 'x', title: 'a / b' };
  const entry: Entry = {
    attack: '2^53 claims',
    how: '100 frames',
    outcome: '1009, >= 10 cases',
    bound: '<= received x 2 + 64 KiB; stall <= 10 ms',
    asserts: [
      { what: 'memory', most: 65_536, perByte: 2, row: '<= received x 2 + 64 KiB' },
      { what: 'stall', most: 10, row: 'stall <= 10 ms' },
    ],
    tests: [holder],
  };

  /** What is wrong with a map that differs from a good one in row 54 only. */
  function faults(changed: Partial<Entry>): string[] {
    const good = {
      ...sources,
      text: () =>
        Object.keys(map)
          .map((id) => `survives(${id}, `)
          .join(),
    };
    const rows = Object.fromEntries(Object.keys(map).map((id) => [id, entry]));
    return securityFaults({ ...rows, 54: { ...entry, ...changed } }, good);
  }

  it('finds nothing wrong with a good one', () => {
    expect(faults({})).toEqual([]);
    expect(faults({ tests: [{ ...holder, row: 'row' }, holder] })).toEqual([]);
  });

  it('names rows that are missing and rows that are too many', () => {
    const { 54: _, ...rest } = Object.fromEntries(Object.keys(map).map((id) => [id, entry]));
    const all = {
      ...sources,
      text: () =>
        Object.keys(map)
          .map((id) => `survives(${id}, `)
          .join(),
    };
    expect(securityFaults({ ...rest, 134: entry }, all)).toEqual([
      '54: not in the map',
      '134: no such row',
      '134: none of its tests calls survives(134, …)',
    ]);
  });

  it.each<[string, Partial<Entry>, string]>([
    ['no test', { tests: [] }, 'none of its tests calls survives(54, …)'],
    ['a file that is not there', { tests: [{ ...holder, test: 'y' }] }, 'there is no y'],
    ['a title that is not there', { tests: [{ ...holder, title: 'c' }] }, 'x has no "c"'],
    ['a row of each that is not there', { tests: [{ ...holder, row: 'c' }] }, 'x has no row "c"'],
  ])('names rows with %s', (_, changed, fault) => {
    expect(faults(changed)).toEqual([`54: ${fault}`]);
  });

  it('names tests that do not run the attack', () => {
    const rows = { 55: entry };
    expect(securityFaults(rows, sources)).toContain('55: none of its tests calls survives(55, …)');
  });

  it.each<[Assertion, string]>([
    [{ what: 'close', is: 1008, row: '1009' }, 'close: "1009" does not say 1008'],
    [{ what: 'close', is: 1009, row: '1010' }, 'close: the row does not say "1010"'],
    [
      { what: 'stall', most: 11, row: 'stall <= 10 ms' },
      'stall: at most 11 is looser than "stall <= 10 ms"',
    ],
    [{ what: 'stall', most: 21 }, 'stall: looser than the goal of all rows'],
    [{ what: 'memory', most: 65_537, perByte: 2 }, 'memory: looser than the goal of all rows'],
    [
      { what: 'memory', most: 65_536, perByte: 3, row: '<= received x 2 + 64 KiB' },
      'memory: at most 65536 is looser than "<= received x 2 + 64 KiB"',
    ],
    [
      { what: 'cases', least: 9, row: '>= 10 cases' },
      'cases: at least 9 is looser than ">= 10 cases"',
    ],
    [{ what: 'stall', most: 11, looser: ' ' }, 'stall: looser without a reason'],
  ])('names figures that are too loose: %o', (assertion, fault) => {
    expect(faults({ asserts: [...entry.asserts, assertion] })).toEqual([`54: ${fault}`]);
  });

  it.each<[Assertion]>([
    [{ what: 'close', is: 1009, row: '1009' }],
    [{ what: 'stall', most: 10, row: 'stall <= 10 ms' }],
    [{ what: 'memory', most: 65_536, perByte: 2, row: '<= received x 2 + 64 KiB' }],
    [{ what: 'memory', most: 0 }],
    [{ what: 'cases', least: 10, row: '>= 10 cases' }],
    [{ what: 'stall', most: 30, looser: 'the attacker runs in the same turn' }],
  ])('accepts figures that are as strict, or have a reason: %o', (assertion) => {
    expect(faults({ asserts: [...entry.asserts, assertion] })).toEqual([]);
  });

  it('names the parts of a bound that nothing asserts, unless there is a reason', () => {
    const asserts = entry.asserts.slice(0, 1);
    const fault = '54: "stall <= 10 ms" is asserted by nothing, and there is no reason';
    expect(faults({ asserts })).toEqual([fault]);
    expect(faults({ asserts, reason: ' ' })).toEqual([fault]);
    expect(faults({ asserts, reason: 'the harness asserts it' })).toEqual([]);
  });

  it('reads figures with their units', () => {
    expect(
      quantities(
        '10^6 of 1,024 B in 64 KiB, 8 MiB or 100 kB; 10 s, 20 ms, 1 us, 1.25, once, Never',
      ),
    ).toEqual([1e6, 1024, 65_536, 8_388_608, 1e5, 10_000, 20, 0.001, 1.25, 1, 0]);
  });

  it('compares the words with the document', () => {
    const table = Object.entries(map).map(
      ([id, { attack, how, outcome, bound }]) =>
        `| ${id} | ${attack} | ${how} | ${outcome} | ${bound} | - |`,
    );
    expect(documentFaults(map, table.join('\n'))).toEqual([]);
    const changed = table.with(0, '| 1 | x | h | y | z | - |').slice(0, -1);
    expect(documentFaults(map, changed.join('\n'))).toEqual([
      '1: the document says: x | h | y | z',
      '142: not in the document',
    ]);
  });
});
