import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { clientSuiteCases, serverSuiteCases } from '../../src/index.ts';

/** Numbers of Autobahn's cases by section; 2, 3 and 5 have no sections. */
const SECTIONS: Readonly<Record<string, number>> = {
  ...{ 1.1: 8, 1.2: 8, 2: 11, 3: 7, 4.1: 5, 4.2: 5, 5: 20 },
  ...{ 6.1: 3, 6.2: 4, 6.3: 2, 6.4: 4, 6.5: 5, 6.6: 11, 6.7: 4, 6.8: 2, 6.9: 4 },
  ...Object.fromEntries(
    [3, 5, 8, 5, 10, 1, 3, 5, 5, 5, 7, 8, 34, 7].map((count, at) => [`6.${at + 10}`, count]),
  ),
  ...{ 7.1: 6, 7.3: 6, 7.5: 1, 7.7: 13, 7.9: 9, 7.13: 2 },
  ...{ 9.1: 6, 9.2: 6, 9.3: 9, 9.4: 9, 9.5: 6, 9.6: 6, 9.7: 6, 9.8: 6 },
  '10.1': 1,
  ...Object.fromEntries([1, 2, 3, 4, 5].map((at) => [`12.${at}`, 18])),
  ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((at) => [`13.${at}`, 18])),
};

describe('autobahn.md', () => {
  const page = readFileSync(new URL('../../autobahn.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| ([\d.]+) \|[^|]+\| ([\d., ]+) \|(.*)\|$/gm)].map(
    ([, theirs, ours, instead]) => ({ theirs, ours: ours!.split(', '), instead: instead!.trim() }),
  );

  it("has each of Autobahn's 517 cases once", () => {
    const all = Object.entries(SECTIONS).flatMap(([section, count]) =>
      Array.from({ length: count }, (_, at) => `${section}.${at + 1}`),
    );
    expect(all).toHaveLength(517);
    expect(rows.map(({ theirs }) => theirs).toSorted()).toEqual(all.toSorted());
  });

  it('names cases of both roles, or of a server in chapter 13', () => {
    const titles = (list: ReturnType<typeof serverSuiteCases>): Map<string, string> =>
      new Map(list.map(({ id, title }) => [id, title]));
    const [server, client] = [titles(serverSuiteCases()), titles(clientSuiteCases())];
    for (const id of new Set(rows.flatMap(({ ours }) => ours))) {
      expect(server.get(id), id).toBeDefined();
      if (id.startsWith('13.')) continue;
      expect(client.get(id === '7.18.1' ? '7.21.1' : id), id).toBe(server.get(id));
    }
  });

  it('counts the cases that ask the same', () => {
    const same = rows.filter(({ instead }) => instead === '').length;
    expect(page).toContain(`(${same} cases)`);
    expect(page).toContain(`(${517 - same})`);
  });
});
