import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { clientSuiteCases, serverSuiteCases } from '../../src/index.ts';

/** Numbers of Autobahn's cases by section; 2, 3 and 5 have no sections. */
const COUNTS = `1.1:8 1.2:8 2:11 3:7 4.1:5 4.2:5 5:20
  6.1:3 6.2:4 6.3:2 6.4:4 6.5:5 6.6:11 6.7:4 6.8:2 6.9:4 6.10:3 6.11:5 6.12:8 6.13:5 6.14:10 6.15:1
  6.16:3 6.17:5 6.18:5 6.19:5 6.20:7 6.21:8 6.22:34 6.23:7
  7.1:6 7.3:6 7.5:1 7.7:13 7.9:9 7.13:2 9.1:6 9.2:6 9.3:9 9.4:9 9.5:6 9.6:6 9.7:6 9.8:6 10.1:1
  12.1:18 12.2:18 12.3:18 12.4:18 12.5:18 13.1:18 13.2:18 13.3:18 13.4:18 13.5:18 13.6:18 13.7:18`;
const ALL = COUNTS.split(/\s+/).flatMap((one) => {
  const [section, count] = one.split(':');
  return Array.from({ length: Number(count) }, (_, at) => `${section}.${at + 1}`);
});

describe('autobahn.md', () => {
  const page = readFileSync(new URL('../../autobahn.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| ([\d.]+) \|[^|]+\| ([\d., ]+) \|(.*)\|$/gm)].map(
    ([, theirs, ours, instead]) => ({ theirs, ours: ours!.split(', '), instead: instead!.trim() }),
  );

  it("has each of Autobahn's 517 cases once", () => {
    expect(ALL).toHaveLength(517);
    expect(rows).toHaveLength(517);
    expect(new Set(rows.map(({ theirs }) => theirs))).toEqual(new Set(ALL));
  });

  it('names cases of both roles, or of a server in chapter 13', () => {
    const [server, client] = [serverSuiteCases([], [], true), clientSuiteCases([], [], true)].map(
      (list) => new Map(list.map(({ id, title }) => [id, title])),
    );
    for (const id of new Set(rows.flatMap(({ ours }) => ours))) {
      expect(server!.get(id), id).toBeDefined();
      if (id.startsWith('13.')) continue;
      expect(client!.get(id === '7.18.1' ? '7.21.1' : id), id).toBe(server!.get(id));
    }
  });

  it('counts the cases that ask the same', () => {
    const same = rows.filter(({ instead }) => instead === '').length;
    expect(page).toContain(`(${same} cases)`);
    expect(page).toContain(`(${517 - same})`);
  });
});
