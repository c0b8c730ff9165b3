import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0');

/** The texts between backticks, outside of programs. */
const quoted = (page: string): string[] =>
  [...page.replaceAll(/^```[^]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, text]) => text!);

describe.each(['CONTRIBUTING.md', 'docs/architecture.md', 'docs/maintainers/limits.md'])(
  '%s',
  (page) => {
    it('names only files and folders that exist', () => {
      // A file that a reader would add.
      const text = read(page).replaceAll(/`[^`\n]+`, new\b/g, '');
      const paths = quoted(text).flatMap(
        (each) =>
          each.match(
            /[\w@./-]+\.(?:ts|mjs)\b|\b(?:packages|docs|tools|tests|examples)\/[\w./-]+/g,
          ) ?? [],
      );
      const missing = paths.filter((path) => {
        // `x` stands for a package.
        if (path.startsWith('packages/x/')) return false;
        const folder = path.replace(/\/$/, '');
        return !files.some((file) => `/${file}/`.includes(`/${folder}/`));
      });
      expect(paths.length).toBeGreaterThan(5);
      expect(missing).toEqual([]);
    });
  },
);

describe('"Your first change" of CONTRIBUTING.md', () => {
  const [, section = ''] = read('CONTRIBUTING.md').split('## Your first change\n');
  const [text = '', source = '', command = ''] = quoted(section.split('\n## ')[0]!);

  it('names the file that has the text, and a test that quotes it', () => {
    expect(read(source)).toContain(text);
    const test = /^npx vitest run (\S+)$/.exec(command)?.[1];
    expect(read(test!)).toContain(text.replace('${limit}', '3'));
  });
});
