import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { diagrams } from '../diagrams/pages.ts';

const docs = join(import.meta.dirname, '../../docs');
const drawn = diagrams();

describe('docs/diagrams', () => {
  it('has what tools/diagrams.ts draws', () => {
    expect(readdirSync(join(docs, 'diagrams')).toSorted()).toEqual(Object.keys(drawn).toSorted());
    for (const [name, svg] of Object.entries(drawn)) {
      expect(readFileSync(join(docs, 'diagrams', name), 'utf8')).toBe(svg);
    }
  });

  it.each(Object.keys(drawn))('is shown on a page, with its title as text: %s', (name) => {
    const title = /<title id="title">(.*)<\/title>/.exec(drawn[name]!)![1]!;
    const pages = readdirSync(docs).filter((page) => page.endsWith('.md'));
    const link = `![${title}](diagrams/${name})`;
    const shown = pages.filter((page) => readFileSync(join(docs, page), 'utf8').includes(link));
    expect(shown).toHaveLength(1);
  });
});
