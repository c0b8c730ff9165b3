import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { clientSuiteCases, serverSuiteCases } from '../src/index.ts';

const ROLES = [
  {
    role: 'server',
    cases: [...serverSuiteCases([], [], true), ...serverSuiteCases(['15'], [], true, true)],
  },
  { role: 'client', cases: clientSuiteCases([], [], true) },
];

/**
 * A line of ids.txt: role, section, number of its cases, and the digest of their ids and titles. A
 * section with new cases gets another line. No line changes.
 */
const LINES = readFileSync(new URL('ids.txt', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n');

function digest(cases: readonly string[]): string {
  return createHash('sha256').update(cases.join('\n')).digest('hex').slice(0, 12);
}

describe.each(ROLES)('the ids of the $role cases', ({ role, cases }) => {
  const sections = new Map<string, string[]>();
  for (const { id, title } of cases) {
    const section = id.split('.').slice(0, 2).join('.');
    sections.set(section, [...(sections.get(section) ?? []), `${id} ${title}`]);
  }

  it('never move to another case: baselines and reports name them', () => {
    const moved = LINES.filter((line) => {
      const [of, section, count, known] = line.split(' ');
      return (
        of === role && digest((sections.get(section!) ?? []).slice(0, Number(count))) !== known
      );
    });
    expect(moved).toEqual([]);
  });

  it('are all in ids.txt; append the lines that are missing', () => {
    const lines = [...sections].map(
      ([section, all]) => `${role} ${section} ${all.length} ${digest(all)}`,
    );
    expect(lines.filter((line) => !LINES.includes(line))).toEqual([]);
  });

  it('have titles that no other case of the role has', () => {
    const titles = cases.map(({ title }) => title);
    expect(titles.filter((title, at) => titles.indexOf(title) !== at)).toEqual([]);
  });
});
