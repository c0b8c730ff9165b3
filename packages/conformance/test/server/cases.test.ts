import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CHAPTERS, serverSuiteCases } from '../../src/index.ts';

/** Those over HTTP/1.1, and the chapter that HTTP/2 has instead of one of them. */
const http1 = serverSuiteCases();
const cases = [...http1, ...serverSuiteCases(['15'], [], false, true)];

describe('the cases for servers', () => {
  it('have unique ids in every chapter, at least 600 in total', () => {
    expect(cases.length).toBeGreaterThanOrEqual(600);
    expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
    expect([...new Set(cases.map(({ chapter }) => chapter))].map(String)).toEqual(
      Object.keys(CHAPTERS),
    );
    for (const { id, chapter } of cases) expect(id.split('.')[0]).toBe(String(chapter));
  });

  it('have unique titles within a chapter', () => {
    const titles = cases.map(({ chapter, title }) => `${chapter} ${title}`);
    expect(titles.filter((title, at) => titles.indexOf(title) !== at)).toEqual([]);
  });

  it('contain a section, a level and an expectation', () => {
    for (const { section, level, expects } of cases) {
      expect(section).toMatch(/^(?:RFC \d{4}, \d|IANA)/);
      expect(['must', 'should', 'advice']).toContain(level);
      expect(expects).not.toBe('');
    }
  });

  it('are selected by their ids', () => {
    expect(serverSuiteCases(['1.1.1']).map(({ id }) => id)).toEqual(['1.1.1']);
    expect(new Set(serverSuiteCases(['1.*']).map(({ chapter }) => chapter))).toEqual(new Set([1]));
    expect(serverSuiteCases(['1.1.1', '10.*', '2.1.?'])[0]?.id).toBe('1.1.1');
    expect(serverSuiteCases(['1.1'])).toEqual(serverSuiteCases(['1.1.*']));
    expect(serverSuiteCases(['1'])).toEqual(serverSuiteCases(['1.*']));
    expect(serverSuiteCases(['*']).length).toBe(http1.length);
  });

  it('match the numbers in the README', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    for (const [chapter, title] of Object.entries(CHAPTERS)) {
      const count = cases.filter((one) => String(one.chapter) === chapter).length;
      expect(readme).toContain(`| ${chapter} ${title} | ${count} |`);
    }
    expect(readme).toContain(`all ${http1.length.toLocaleString('en')} cases`);
  });
});
