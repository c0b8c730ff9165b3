import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { digestsOfRoom, nodesOfRoom, ROOM, SECTIONS } from '../scale/model.ts';
import { withTables } from '../scale/page.ts';

describe('docs/scale.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/scale.md'), 'utf8');

  it('has the tables of the model', () => {
    expect(withTables(page)).toBe(page);
    const names = [...page.matchAll(/<!-- scale: (\w+) -->/g)].map(([, name]) => name!);
    expect(names.toSorted()).toEqual(Object.keys(SECTIONS).toSorted());
  });

  it('refuses a marker without a table', () => {
    const unknown = '<!-- scale: nosuch -->\n\n<!-- end of scale -->';
    expect(() => withTables(unknown)).toThrow("there is no table 'nosuch'");
  });
});

describe('a room that is spread', () => {
  it('is on one node of one, and on a node for each member of very many', () => {
    expect(nodesOfRoom(1)).toBe(1);
    expect(nodesOfRoom(1e6)).toBeCloseTo(ROOM, 1);
    expect(nodesOfRoom(20)).toBeCloseTo(18.5, 1);
  });

  it('has three digests after a single message, and at most one every 5 s', () => {
    const rate = 1e-6;
    expect(digestsOfRoom(1e6, rate) / (ROOM * rate)).toBeCloseTo(3, 2);
    expect(digestsOfRoom(1, 1)).toBeCloseTo(1 / 5, 5);
  });
});
