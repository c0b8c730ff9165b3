import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/server.md'), 'utf8');

describe('docs/server.md', () => {
  it.each([
    { language: 'nginx', file: 'nginx.conf' },
    { language: 'haproxy', file: 'haproxy.cfg' },
  ])('quotes the $file that the tests run', ({ language, file }) => {
    const block = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'm').exec(page)?.[1];
    expect(block).toBe(readFileSync(join(root, 'examples/reverse-proxied', file), 'utf8'));
  });

  it('has every option in its tables', async () => {
    const refused = serve({ nosuch: 1 } as never, () => {});
    const message = await refused.then(() => '', String);
    const names = message.split('there are ')[1]!.split(', ');
    expect(names).toContain('routes');
    const rows = page.split('\n').filter((line) => line.startsWith('| `'));
    const told = new Set(rows.flatMap((row) => row.split('|')[1]!.match(/\w+/g) ?? []));
    expect(names.filter((name) => !told.has(name))).toEqual([]);
  });
});
