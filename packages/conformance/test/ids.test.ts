import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { clientSuiteCases, serverSuiteCases } from '../src/index.ts';

const ROLES = [
  { role: 'server', cases: serverSuiteCases([], [], true) },
  { role: 'client', cases: clientSuiteCases([], [], true) },
];

/** A line is an id and a title; a case of one role has the role before them. */
const LINES = readFileSync(new URL('ids.txt', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n');

describe.each(ROLES)('the ids of the $role cases', ({ role, cases }) => {
  const committed = LINES.filter((line) => /^\d/.test(line) || line.startsWith(role)).map((line) =>
    line.replace(`${role} `, ''),
  );
  const current = cases.map(({ id, title }) => `${id} ${title}`);

  it('never move to another case: baselines and reports name them', () => {
    const known = new Set(current);
    expect(committed.filter((line) => !known.has(line))).toEqual([]);
  });

  it('are all in ids.txt; append new ones at the end of their section', () => {
    const known = new Set(committed);
    expect(current.filter((line) => !known.has(line))).toEqual([]);
  });

  it('have titles that no other case of the role has', () => {
    const titles = cases.map(({ title }) => title);
    expect(titles.filter((title, at) => titles.indexOf(title) !== at)).toEqual([]);
  });
});
