import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CHAPTERS, serverSuiteCases } from '../../src/index.ts';

const cases = serverSuiteCases();

describe('the cases for servers', () => {
  it('are 600 and more, in every chapter, each with an id of its own', () => {
    expect(cases.length).toBeGreaterThanOrEqual(600);
    expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
    expect([...new Set(cases.map(({ chapter }) => chapter))].map(String)).toEqual(
      Object.keys(CHAPTERS),
    );
    for (const { id, chapter } of cases) expect(id.split('.')[0]).toBe(String(chapter));
  });

  it('each do something of their own', () => {
    const titles = cases.map(({ chapter, title }) => `${chapter} ${title}`);
    expect(titles.filter((title, at) => titles.indexOf(title) !== at)).toEqual([]);
  });

  it('each name their section, their level and what they expect', () => {
    for (const { section, level, expects } of cases) {
      expect(section).toMatch(/^(?:RFC \d{4}, \d|IANA)/);
      expect(['must', 'should']).toContain(level);
      expect(expects).not.toBe('');
    }
  });

  it('are chosen by their ids', () => {
    expect(serverSuiteCases(['1.1.1']).map(({ id }) => id)).toEqual(['1.1.1']);
    expect(new Set(serverSuiteCases(['1.*']).map(({ chapter }) => chapter))).toEqual(new Set([1]));
    expect(serverSuiteCases(['1.1.1', '10.*', '2.1.?'])[0]?.id).toBe('1.1.1');
    expect(serverSuiteCases(['1.1'])).toEqual([]);
    expect(serverSuiteCases(['*']).length).toBe(cases.length);
  });

  it('are as many in each chapter as the README says', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    for (const [chapter, title] of Object.entries(CHAPTERS)) {
      const count = cases.filter((one) => String(one.chapter) === chapter).length;
      expect(readme).toContain(`| ${chapter} ${title} | ${count} |`);
    }
    expect(readme).toContain(`everything: ${cases.length.toLocaleString('en')} cases`);
  });
});
