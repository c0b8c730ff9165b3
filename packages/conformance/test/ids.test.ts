import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { clientSuiteCases, serverSuiteCases } from '../src/index.ts';

const ROLES = [
  { role: 'server', cases: serverSuiteCases([], [], true) },
  { role: 'client', cases: clientSuiteCases([], [], true) },
];

describe.each(ROLES)('the ids of the $role cases', ({ role, cases }) => {
  const committed = readFileSync(new URL(`ids/${role}.txt`, import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  const current = cases.map(({ id, title }) => `${id} ${title}`);

  it('never move to another case: baselines and reports name them', () => {
    const known = new Set(current);
    expect(committed.filter((line) => !known.has(line))).toEqual([]);
  });

  it('are all in the committed list; append new ones at the end', () => {
    const known = new Set(committed);
    expect(current.filter((line) => !known.has(line))).toEqual([]);
  });

  it('have titles that no other case of the role has', () => {
    const titles = cases.map(({ title }) => title);
    expect(titles.filter((title, at) => titles.indexOf(title) !== at)).toEqual([]);
  });
});
