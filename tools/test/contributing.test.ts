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

const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: object };

/** Whether the command has a script, a row of its table, or a file to start from. */
function starts(command: string): boolean {
  const [program, ...words] = command.split(' ').filter((word) => !word.startsWith('-'));
  const has = (path = ''): boolean => files.some((file) => `/${file}`.includes(`/${path}`));
  if (program === 'npx') return has(words[2]);
  if (program === 'node') return has(words.find((word) => /\.m?[jt]s$/.test(word)));
  const [script = '', name = '['] = words[0] === 'run' ? words.slice(1) : words;
  if (!(script in scripts)) return script === 'install';
  if (!/^(?:check|long)$/.test(script) || name.startsWith('[')) return true;
  return new RegExp(`^ {2}'?${name}'?: `, 'm').test(read(`tools/${script}.ts`));
}

it('CONTRIBUTING.md has at most 40 rows of words', () => {
  const [, words = ''] = read('CONTRIBUTING.md').split('\n## Words\n');
  const rows = words.split('\n## ')[0]!.match(/^\| (?!word|verb)/gm)!;
  expect(rows.length).toBeGreaterThan(20);
  expect(rows.length).toBeLessThanOrEqual(40);
});

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
      expect(paths.length).toBeGreaterThan(3);
      expect(missing).toEqual([]);
    });

    it('names only commands that exist', () => {
      const commands = quoted(read(page)).filter((each) =>
        /^(?:pnpm|npx vitest|node --import) /.test(each),
      );
      expect(commands.filter((command) => !starts(command))).toEqual([]);
    });

    it('quotes only texts that are in the named files', () => {
      const quotes = read(page).matchAll(/`([^`\n]+)` in \[?`([\w./-]+\.ts)`/g);
      const wrong = [...quotes].filter(([, text, name]) => {
        const named = files.filter((file) => `/${file}`.endsWith(`/${name}`));
        return !named.some((file) => read(file).includes(text!));
      });
      expect(wrong.map(([quote]) => quote)).toEqual([]);
    });
  },
);

describe('"Your first change" of CONTRIBUTING.md', () => {
  const [, section = ''] = read('CONTRIBUTING.md').split('## Your first change\n');
  const [text = '', source = '', command = ''] = quoted(section.split('\n## ')[0]!);

  it('names the file that has the text, and a test that quotes it', () => {
    expect(read(source)).toContain(text);
    const test = /^npx vitest run (\S+)$/.exec(command)?.[1];
    expect(read(test!)).toContain(text.replace('${limit}', '1024'));
  });
});
