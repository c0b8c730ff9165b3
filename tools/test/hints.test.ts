// No text of the project sends its reader to a package of a stranger.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, it, onTestFinished } from 'vitest';

const root = join(import.meta.dirname, '../..');
/** Packages of the registry that texts may name, with what they are for. */
const KNOWN = ['node', 'zod', '@types/node', 'pnpm', 'esbuild', 'tsx', 'tsc', 'vitest'];
/** `npm install NAME`, `npx NAME`, without options and versions. */
const COMMAND =
  /(?:\b(?:npm (?:install|i)|pnpm add|yarn add)|(?:^|`)npx)((?: +-{1,2}[\w-]+)*) +([@\w][\w@/.-]*)/gm;

function* texts(folder: string): Generator<string> {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (/^(?:node_modules|dist|test|\.tsc)$/.test(entry.name)) continue;
    if (entry.isDirectory()) yield* texts(path);
    else if (/\.(?:ts|mjs|md)$/.test(entry.name)) yield path;
  }
}

describe('N2 a hint', () => {
  it.each(['packages', 'docs', 'examples', 'tools'])('names only known packages: %s', (folder) => {
    const strange = [...texts(folder), 'README.md', 'SECURITY.md', 'CONTRIBUTING.md'].flatMap(
      (path) =>
        [...readFileSync(join(root, path), 'utf8').matchAll(COMMAND)]
          .map(([, , name]) => name!.replace(/(?<=.)@.*$/, '').replace(/[.,;:]$/, ''))
          .filter((name) => !KNOWN.includes(name))
          .map((name) => `${path}: ${name}`),
    );
    expect(strange).toEqual([]);
  });

  it.each([
    ['node-server', 'did you mean @ws/node-server?'],
    ['@ws-node-server', 'did you mean @ws/node-server?'],
    ['ws/node-server', 'did you mean @ws/node-server?'],
    ['zod', 'the clone has no package zod; it has @ws/node-server'],
    ['@ws/bench', 'run pnpm bench --help in the clone, then pnpm pack-all again'],
  ])('of install.mjs for %s says %s', (name, words) => {
    const folder = mkdtempSync(join(tmpdir(), 'hints '));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    copyFileSync(join(root, 'tools/install.mjs'), join(folder, 'install.mjs'));
    const packages = { '@ws/node-server': { file: 'x.tgz', dependencies: [] } };
    writeFileSync(join(folder, 'packages.json'), JSON.stringify(packages));
    const { status, stderr } = spawnSync(process.execPath, [join(folder, 'install.mjs'), name], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(status).toBe(2);
    expect(stderr).toContain(words);
    expect(stderr).not.toContain('npm install');
  });
});

describe('N19 a command with an unknown name', () => {
  it.each(['check', 'long'])('ends before anything is installed: %s', (command) => {
    const args = ['tools/named.mjs', command, 'nothing'];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    expect(status).toBe(2);
    expect(stderr).toMatch(/^unknown: nothing; there are \w+, /);
    expect(stderr).not.toContain('installing');
  });
});
