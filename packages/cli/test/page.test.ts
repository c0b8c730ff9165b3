import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { COMMANDS, type CommandName, countOf, isCommand } from '../src/commands.ts';
import { ExitCode } from '../src/failure.ts';
import { OPTIONS, parseOptions } from '../src/options.ts';

const root = join(import.meta.dirname, '../../..');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const page = read('docs/wsx.md');

/** The command lines of a text, as the words of a shell. */
function commandLines(text: string): string[][] {
  const blocks = [...text.matchAll(/^```sh\n([^]*?)^```/gm)].map(([, block]) => block!);
  const lines = blocks.flatMap((block) => block.match(/\bwsx [^|\n]*/g) ?? []);
  return lines.map((line) => {
    const words = line.replace(/\s#.*$/, '').match(/'[^']*'|"[^"]*"|[^\s'"]+/g) ?? [];
    return words.slice(1).map((word) => word.replaceAll(/['"]/g, ''));
  });
}

describe.each([
  'README.md',
  'docs/wsx.md',
  'packages/cli/README.md',
  'docs/frameworks.md',
  'examples/session-cookie/README.md',
])('%s', (name) => {
  it('shows command lines that wsx takes', () => {
    const lines = commandLines(read(name));
    expect(lines.length).toBeGreaterThan(0);
    for (const [first = '', ...rest] of lines) {
      const command: CommandName = isCommand(first) ? first : 'connect';
      const args = isCommand(first) ? rest : [first, ...rest];
      const { options, ...more } = COMMANDS[command];
      const count = countOf(COMMANDS[command]);
      if ('passes' in more) continue;
      const { words } = parseOptions(command, args, options);
      expect(words.length, `${first} ${rest.join(' ')}`).toBeGreaterThanOrEqual(count[0]);
      expect(words.length, `${first} ${rest.join(' ')}`).toBeLessThanOrEqual(count[1]);
    }
  });
});

describe('docs/wsx.md', () => {
  it('has every command, option and exit code', () => {
    for (const name of Object.keys(COMMANDS).slice(1)) expect(page).toContain(`| \`wsx ${name} `);
    for (const name of Object.keys(OPTIONS)) expect(page).toContain(`--${name}`);
    const [, table = ''] = page.split('## Exit codes');
    const codes = [...table.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
    expect(codes).toEqual(Object.values(ExitCode));
  });
});
